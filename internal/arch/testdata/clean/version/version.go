// Package version is part of a tree that a rule is tried on.
package version

import "time"

// At is a time.
type At struct{ Time time.Time }
