// Package sim is part of a tree that a rule is tried on.
package sim

import (
	_ "example.com/house/internal/server"
	_ "example.com/house/singleleader"
)
