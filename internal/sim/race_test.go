//go:build race

package sim_test

// Less where everything takes ten times as long: a world has one goroutine.
const (
	seedsDefault = 4
	seedsTwice   = 1
)
