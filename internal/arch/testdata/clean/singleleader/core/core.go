// Package core is part of a tree that a rule is tried on.
package core

import (
	"maps"
	"slices"
	"time"

	"example.com/house/quorum"
)

type core struct {
	now   time.Time
	lease time.Duration
	marks map[string]int
	list  []string
}

func (c *core) step(now time.Time) (n int) {
	c.now = now.Add(c.lease)
	for _, k := range slices.Sorted(maps.Keys(c.marks)) {
		n += c.marks[k]
	}
	for range c.list {
		n++
	}
	for i := range 3 {
		n += i
	}
	for _, r := range slices.Backward(c.list) {
		n += len(r)
	}
	return n
}

var _ quorum.Nothing
