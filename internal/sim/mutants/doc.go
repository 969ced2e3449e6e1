// Command mutants breaks one rule of the protocols at a time, and demands that a
// test goes red for it: a rule that may be broken without a test noticing is not
// held by anything but care.
//
//	go run ./internal/sim/mutants                    # all: make mutants
//	go run ./internal/sim/mutants -run wal -v        # those whose names match, with the output of their tests
//	go run ./internal/sim/mutants -third $(git rev-parse HEAD)   # a third, by hash, for CI
//
// A mutant is a patch that [go test -overlay] applies: nothing in the tree is
// touched, and production code has no hooks for it. The files beside this one
// hold them, by area:
//
//	mutant wal-ack-before-fsync
//	rule   PW1
//	breaks a flush is announced before the file is synced
//	test   ./internal/wal -run TestX
//	deep   ./internal/sim/oneleader -run TestSeeds
//	file   internal/wal/writer.go
//	--- old
//	text that stands in the file exactly once
//	--- new
//	what it is replaced by
//	--- end
//
// test names the smallest test that must go red, and may be repeated: every one
// must. deep, which may be left out, names what must go red too where -deep is
// asked for: a simulation that has to find it from the outside. file, with its
// texts, may be repeated for a rule that stands in several places.
//
// First everything that the mutants name is run as it is: a test that is red
// already shows nothing. Then a mutant is caught, survives, hangs until the time
// limit (which counts as caught, and is said), does not compile, or does not match
// the tree any more. Anything but caught is a failure of this command.
//
// [go test -overlay]: https://pkg.go.dev/cmd/go#hdr-Compile_packages_and_dependencies
package main
