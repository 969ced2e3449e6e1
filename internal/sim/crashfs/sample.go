package crashfs

import (
	"os"
	"testing"
)

// FullEnv is the variable that makes a matrix run whole, and not a sample of it.
const FullEnv = "TRIAD_MATRIX"

// Sample returns which of n cases a test runs: about most of them, evenly, from
// another one with every seed; fewer under the race detector; all if the variable
// is "full".
func Sample(t testing.TB, n, most int, seed uint64) []int {
	t.Helper()
	if raceEnabled {
		most /= raceShare
	}
	step := max(1, n/max(most, 1))
	if Full() {
		step = 1
	}
	var is []int
	for i := int(seed) % step; i < n; i += step {
		is = append(is, i)
	}
	if step > 1 {
		t.Logf("%d of %d cases; %s=full runs them all", len(is), n, FullEnv)
	}
	return is
}

// Lot returns of how many cases a test runs one, where it does not know how many
// there are: lot, more under the race detector, 1 if the variable is "full".
func Lot(lot int) int {
	switch {
	case Full():
		return 1
	case raceEnabled:
		return lot * raceShare
	}
	return lot
}

// raceShare is how much less of a matrix is run under the race detector, which
// looks for something else.
const raceShare = 5

// Full reports whether the matrix is to run whole.
func Full() bool { return os.Getenv(FullEnv) == "full" }
