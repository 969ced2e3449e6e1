// Package topology is part of a tree that a rule is tried on.
package topology

import (
	_ "example.com/house/record/pack"
	_ "example.com/house/version"
)

import (
	"context"
	"errors"
)

// ErrNotFound is found once.
var ErrNotFound = errors.New("not found")

// Handler may name a context: it is called with one.
type Handler struct {
	Serve func(ctx context.Context) error
}

// Port has five methods of its own and embeds more.
type Port interface {
	A()
	B()
	C()
	D()
	E()
	error
}

// IO is no interface with an I before its name, and MetaDatabase no Data.
type IO interface{ Do() }

// MetaDatabase is a name in which a banned word is only a part of a word.
type MetaDatabase struct{}
