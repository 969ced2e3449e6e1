// Package version is part of a tree that a rule is tried on.
package version

import (
	_ "math/rand"
	_ "os"
)
