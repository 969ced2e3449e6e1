// Package config reads node.yaml, what one node is, and cluster.yaml, a whole
// cluster for the demo and the benchmarks, and turns them into [triad.Config].
//
// It promises that a configuration with a fault is refused whole, before any file
// is touched, with every fault at its place; that what is taken can be opened, as
// far as that shows without a disk or a network; and that what is unsafe and yet
// taken is said ([Node.Warnings], [Cluster.Warnings]). docs/configuration.md
// describes every key, and a test compares it with the structs here.
//
// The structs follow the sections of the files; each section becomes the options
// of one package in open.go, and no other package knows a key of a file. How text
// becomes a struct is in [strict]; the rules between keys are in check*.go.
package config
