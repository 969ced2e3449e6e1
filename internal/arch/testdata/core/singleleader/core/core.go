// Package core is part of a tree that a rule is tried on.
package core

import (
	_ "context"
	_ "math/rand/v2"
	_ "net"
	_ "os"
	_ "sync"
)

import (
	"iter"
	"maps"
	"time"

	"example.com/house/quorum"
)

type core struct {
	marks map[string]int
}

func (c *core) step(ch chan int) {
	go c.step(ch)
	select {
	case <-ch:
	default:
	}
	for range c.marks {
	}
	for range quorum.Marks() {
	}
	for range maps.Keys(c.marks) {
	}
	for range each(c.marks) {
	}
	for range unknown() {
	}
	_ = time.Now()
	time.Sleep(time.Second)
	<-time.After(0)
	_ = time.Tick(0)
}

func each(m map[string]int) iter.Seq[string] { return maps.Keys(m) }

func order[M ~map[K]V, K comparable, V any](m M) {
	for range m {
	}
}
