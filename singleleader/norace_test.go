//go:build !race

package singleleader

// steadyWrites are how many commits the control must not notice.
const steadyWrites = 1_000_000
