// Package singleleader is part of a tree that a rule is tried on.
package singleleader

import (
	_ "example.com/house/control/static"
	_ "example.com/house/internal/wal"
	_ "example.com/house/leaderless"
	_ "github.com/vmihailenco/msgpack/v5"
)
