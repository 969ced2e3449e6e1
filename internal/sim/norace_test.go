//go:build !race

package sim_test

// What a few seconds are enough for.
const (
	seedsDefault = 60
	seedsTwice   = 20
)
