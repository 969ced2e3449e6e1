// Package version is part of a tree that a rule is tried on.
package version

import "errors"

var (
	// ErrTwice exists already.
	ErrTwice = errors.New("twice")

	// ErrAlias is another name for what exists, not another error.
	ErrAlias = ErrTwice
)

func f() {
	var ErrOnce = errors.New("local")
	_ = ErrOnce
}
