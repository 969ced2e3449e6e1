// Package quorum is part of a tree that a rule is tried on.
package quorum
