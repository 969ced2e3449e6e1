// Package arch holds the tests that keep the picture of the house true: who may
// import whom, how large a file, a function, a type may grow, what a protocol
// core may do, who counts goroutines, what names and documents must be like. docs/architecture.md
// tells the same in prose.
//
// Promises. Every rule reads the files themselves, with go/parser and never
// through the go command: the test cache then sees each file that a verdict
// depends on, and files of other systems are covered too. Every rule has a
// small tree under testdata that breaks it, and fails if it lets that pass.
//
// Assumptions. A rule sees syntax, and types only where a core ranges over
// something. Code is what stands in .go files outside testdata, vendor and
// folders that begin with a dot or an underscore; nested modules belong to the
// tree and obey the same rules.
//
// Invariants:
//
//  1. A package without a room in the table is a finding, and so is a
//     third-party import without a home.
//  2. What breaks a rule and is tolerated stands in exceptions.txt with its
//     size and a reason. The list may only shrink: an exception that is no
//     longer needed is a finding, and so is one larger than what it excuses.
//  3. Rules do not depend on the order of files, nor on the machine.
package arch
