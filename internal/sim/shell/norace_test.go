//go:build !race

package shell

// seedsDefault is what a few seconds are enough for.
const seedsDefault = 4
