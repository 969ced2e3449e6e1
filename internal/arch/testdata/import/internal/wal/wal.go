// Package wal is part of a tree that a rule is tried on.
package wal

import (
	_ "example.com/house/internal/store"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/cockroachdb/pebble/v2/vfs"
)
