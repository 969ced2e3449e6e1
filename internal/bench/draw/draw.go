// Package draw chooses keys: evenly, by Zipf's law, or mostly what is new. What is
// drawn depends on the random numbers alone.
package draw

import (
	"math"
	"math/rand/v2"
)

// Theta is the skew that YCSB has: the share of the n-th most popular of many falls
// as 1/n^0.99.
const Theta = 0.99

// Zipf draws ranks from 0 by Zipf's law: the method of Gray et al., "Quickly
// Generating Billion-Record Synthetic Databases", 1994, which YCSB has too. It takes a
// skew below 1, which the rejection method of math/rand does not.
type Zipf struct {
	n                  uint64
	theta              float64
	zeta, zeta2        float64 // the sums of 1/i^theta up to n, and up to 2
	alpha, eta, second float64
}

// NewZipf returns a source of ranks below n, which is at least 1, for a skew above 0
// and below 1. It takes time in proportion to n.
func NewZipf(n uint64, theta float64) *Zipf {
	z := &Zipf{theta: theta, alpha: 1 / (1 - theta), second: 1 + math.Pow(0.5, theta)}
	z.zeta2 = 1 + math.Pow(0.5, theta)
	z.Grow(max(n, 1))
	return z
}

// Grow raises n, in time in proportion to what it is raised by; a smaller n changes
// nothing.
func (z *Zipf) Grow(n uint64) {
	if n <= z.n {
		return
	}
	for i := z.n + 1; i <= n; i++ {
		z.zeta += 1 / math.Pow(float64(i), z.theta)
	}
	z.n = n
	z.eta = (1 - math.Pow(2/float64(n), 1-z.theta)) / (1 - z.zeta2/z.zeta)
}

// Rank draws a rank: 0 is the most popular.
func (z *Zipf) Rank(rng *rand.Rand) uint64 {
	u := rng.Float64()
	switch uz := u * z.zeta; {
	case uz < 1 || z.n == 1:
		return 0
	case uz < z.second || z.n == 2:
		return 1
	}
	return min(uint64(float64(z.n)*math.Pow(z.eta*u-z.eta+1, z.alpha)), z.n-1)
}

// Keys draws numbers of keys below n, which may have grown since the last one.
type Keys interface {
	Next(rng *rand.Rand, n uint64) uint64
}

// Uniform draws every key as often.
type Uniform struct{}

// Next implements Keys.
func (Uniform) Next(rng *rand.Rand, n uint64) uint64 { return rng.Uint64N(n) }

// Scrambled draws by Zipf's law, the popular keys spread over all: YCSB's zipfian.
// Which are popular does not depend on n only while n stays the same.
type Scrambled struct{ zipf *Zipf }

// NewScrambled returns one for n keys at first.
func NewScrambled(n uint64) *Scrambled { return &Scrambled{NewZipf(n, Theta)} }

// Clone returns one that draws alike, for another goroutine.
func (s *Scrambled) Clone() *Scrambled { z := *s.zipf; return &Scrambled{&z} }

// Next implements Keys.
func (s *Scrambled) Next(rng *rand.Rand, n uint64) uint64 {
	s.zipf.Grow(n)
	return hash(s.zipf.Rank(rng)) % n
}

// hash is FNV-1a of the eight bytes of v, the lowest first.
func hash(v uint64) uint64 {
	h := uint64(14695981039346656037)
	for range 8 {
		h = (h ^ v&0xff) * 1099511628211
		v >>= 8
	}
	return h
}

// Latest draws the newest keys most, by Zipf's law over their age.
type Latest struct{ zipf *Zipf }

// NewLatest returns one for n keys at first.
func NewLatest(n uint64) *Latest { return &Latest{NewZipf(n, Theta)} }

// Clone returns one that draws alike, for another goroutine.
func (l *Latest) Clone() *Latest { z := *l.zipf; return &Latest{&z} }

// Next implements Keys.
func (l *Latest) Next(rng *rand.Rand, n uint64) uint64 {
	l.zipf.Grow(n)
	return n - 1 - min(l.zipf.Rank(rng), n-1)
}
