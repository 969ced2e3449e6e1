// Package record is part of a tree that a rule is tried on.
package record

import (
	_ "example.com/house/topology"
)
