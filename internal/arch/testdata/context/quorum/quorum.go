// Package quorum is part of a tree that a rule is tried on.
package quorum

import "context"

type session struct {
	ctx context.Context
}

type pool struct {
	all map[string]context.Context
}

type embeds struct {
	context.Context
}

type holder struct {
	call func(context.Context) error
	port interface {
		Run(ctx context.Context) error
	}
}

func f() {
	_ = struct{ c *context.Context }{}
}
