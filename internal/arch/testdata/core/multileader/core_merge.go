// Package multileader is part of a tree that a rule is tried on.
package multileader

func core_merge() {
	go core_merge()
}
