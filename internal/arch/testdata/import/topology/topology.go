// Package topology is part of a tree that a rule is tried on.
package topology

import (
	_ "example.com/house/singleleader"
	_ "github.com/stretchr/testify/require"
)
