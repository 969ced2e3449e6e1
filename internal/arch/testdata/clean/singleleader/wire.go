// Package singleleader is part of a tree that a rule is tried on.
package singleleader

import (
	_ "github.com/vmihailenco/msgpack/v5"
	_ "golang.org/x/sync/errgroup"
)
