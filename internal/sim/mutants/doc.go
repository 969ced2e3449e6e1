// Command mutants breaks one rule of the protocols at a time, and demands that a
// test goes red for it: a rule that may be broken without a test noticing is not
// held by anything but care.
//
//	go run ./internal/sim/mutants                    # all: make mutants
//	go run ./internal/sim/mutants -run wal -v        # those whose names match, with the output of their tests
//
// A mutant is a patch that [go test -overlay] applies: nothing in the tree is
// touched, and production code has no hooks for it. All are woven into one overlay:
// of every function that a mutant changes there is a copy as the mutant has it,
// and the function begins with a choice, which runs the copy of the one mutant that
// the environment names, if it names one. So each test is built once, and what is
// built is kept by the go command until the code or a mutant changes. A mutant that
// changes more than the bodies of functions (a constant, a type, an import, a
// parameter), or does not compile beside the others, is built on its own.
//
// The files beside this one hold them, by area:
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
// texts, may be repeated for a rule that stands in several places. A line "waits"
// says that a test of it goes red only once it has waited for some time: such are
// begun first, and leave their place to others.
//
// First everything that the mutants name is run while all sleep: a test that is red
// already shows nothing. Then a mutant is caught, survives, hangs until the time
// limit (which counts as caught, and is said), is not run though a test went red
// (for another reason, so that it shows nothing either), does not compile, or does
// not match the tree any more. Anything but caught is a failure of this command.
//
// [go test -overlay]: https://pkg.go.dev/cmd/go#hdr-Compile_packages_and_dependencies
package main
