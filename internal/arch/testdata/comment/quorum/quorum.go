// Package quorum is part of a tree that a rule is tried on.
package quorum

// f is fine. TODO: more.
func f() {
	_ = 0 // FIXME
	/* XXX */
	// This is enough for now.
	// A Placeholder stands here, simplified.
	_ = "TODO is no comment"
}
