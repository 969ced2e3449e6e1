// Package store is part of a tree that a rule is tried on.
package store

import (
	_ "github.com/cockroachdb/pebble/v2/sstable"
	_ "github.com/cockroachdb/pebble/v22"
)
