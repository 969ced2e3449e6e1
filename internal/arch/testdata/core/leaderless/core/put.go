// Package core is part of a tree that a rule is tried on.
package core

func put() {
	go put()
}
