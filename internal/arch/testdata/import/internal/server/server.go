// Package server is part of a tree that a rule is tried on.
package server

import (
	_ "example.com/house/examples/one"
	_ "example.com/house/internal/arch"
)
