// Package server is part of a tree that a rule is tried on.
package server

import (
	_ "example.com/house/singleleader"
	_ "github.com/any/thing"
)
