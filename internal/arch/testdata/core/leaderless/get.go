// Package leaderless is part of a tree that a rule is tried on.
package leaderless

func get() {
	go get()
}
