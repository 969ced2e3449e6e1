// Package wal is part of a tree that a rule is tried on.
package wal

import (
	_ "example.com/house/topology"
	_ "github.com/cockroachdb/pebble/v2/vfs"
	_ "golang.org/x/sys/unix"
	_ "os"
)
