// Package core is part of a tree that a rule is tried on.
package core

func core_merge() {
	go core_merge()
}
