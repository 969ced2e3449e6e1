// Package quorum is part of a tree that a rule is tried on.
package quorum

import "errors"

// ErrTwice exists twice.
var ErrTwice = errors.New("twice")

// ErrOnce exists once.
var ErrOnce = errors.New("once")
