// Package singleleader is part of a tree that a rule is tried on.
package singleleader

func leader() {
	go leader()
}
