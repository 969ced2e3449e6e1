// Package quorum is part of a tree that a rule is tried on.
package quorum

import (
	_ "example.com/house/record/pack"
	_ "example.com/house/version"
)
