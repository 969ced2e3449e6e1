// Package static is part of a tree that a rule is tried on.
package static
