package pbs

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// ErrSetup is the ground of every error of this package: a setup that means
// nothing, or is beyond a limit.
var ErrSetup = errors.New("cannot be predicted")

// OrdersMax is how many replicas [Stale] takes: it looks at every set of them.
const OrdersMax = 20

// Stale returns the probability that a read misses a write that was acknowledged
// before it began, over n replicas: each of the two goes on until those who have
// answered are enough, and any order of answers is as likely as any other. enough
// is told who has answered, a bit each; more answers never spoil it. Its errors
// wrap [ErrSetup].
func Stale(n int, read, write func(answered uint64) bool) (float64, error) {
	if n < 1 || n > OrdersMax {
		return 0, fmt.Errorf("%w: %d replicas, 1 to %d may be", ErrSetup, n, OrdersMax)
	}
	all := uint64(1)<<n - 1
	if !read(all) || !write(all) {
		return 0, fmt.Errorf("%w: all %d replicas are not enough", ErrSetup, n)
	}
	r, w := stops(n, read), stops(n, write)
	// Every read set that is a part of a set: sums over subsets.
	for bit := uint64(1); bit <= all; bit <<= 1 {
		for set := range all + 1 {
			if set&bit != 0 {
				r[set] += r[set&^bit]
			}
		}
	}
	var stale float64
	for set, p := range w {
		if p > 0 {
			stale += p * r[all&^uint64(set)]
		}
	}
	return stale, nil
}

// stops returns, for every set, the probability that it is the one with which it
// is enough.
func stops(n int, enough func(uint64) bool) []float64 {
	reach := make([]float64, 1<<n)
	reach[0] = 1
	for set, p := range reach {
		if p == 0 {
			continue
		}
		if enough(uint64(set)) {
			continue
		}
		reach[set] = 0
		left := n - bits.OnesCount(uint(set))
		for i := range n {
			if set&(1<<i) == 0 {
				reach[set|1<<i] += p / float64(left)
			}
		}
	}
	return reach
}

// StaleOf is [Stale] where any r and any w of n are enough: C(n−w, r) / C(n, r). It
// is 0 where they always meet, and 1 where r or w is 0.
func StaleOf(n, r, w int) float64 {
	if r+w > n {
		return 0
	}
	p := 1.0
	for i := range max(0, r) {
		p *= float64(n-w-i) / float64(n-i)
	}
	return p
}

// Within returns the probability that a read shows one of the last k versions,
// where stale is that of missing one.
func Within(stale float64, k int) float64 { return 1 - math.Pow(stale, float64(k)) }

// Monotonic returns the probability that a client's read is not older than its
// read before, where so many writes come between the two.
func Monotonic(stale, writesBetween float64) float64 {
	return 1 - math.Pow(stale, 1+writesBetween)
}
