//go:build race

package shell

// seedsDefault is less where everything takes ten times as long.
const seedsDefault = 1
