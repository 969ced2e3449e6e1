// Package pack is part of a tree that a rule is tried on.
package pack

import (
	_ "github.com/vmihailenco/msgpack/v5"
)
