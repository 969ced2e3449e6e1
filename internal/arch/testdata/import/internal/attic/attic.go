// Package attic is part of a tree that a rule is tried on.
package attic

import (
	_ "net"
)
