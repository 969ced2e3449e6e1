// Package stream is part of a tree that a rule is tried on.
package stream

import (
	_ "golang.org/x/sys/unix"
)
