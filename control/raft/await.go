package raft

import (
	"reflect"
	"sync"

	"github.com/hashicorp/raft"
)

// await waits for f, or until nobody takes messages any more. raft answers nothing
// that is still in one of its queues when it ends (its loops return and leave the
// queues as they are), and of its futures only some know that it ended: those of
// Apply, AddVoter and VerifyLeader have the field for it, ShutdownCh, and raft does
// not set it (1.7.3; api.go sets none, raft.go those of two inner requests). So it
// is set here, before anybody waits; no part of raft but Error reads it.
func (l *lines) await(f raft.Future) error {
	if end := endOf(f); end.IsValid() && end.IsNil() {
		end.Set(reflect.ValueOf(l.done))
	}
	return f.Error()
}

// endOf returns the field by which f knows that raft has ended, or the zero Value
// of one that has none, such as an error that was known at once.
func endOf(f raft.Future) reflect.Value {
	p := reflect.ValueOf(f)
	if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	end := p.Elem().FieldByName("ShutdownCh")
	if !end.IsValid() || !end.CanSet() || end.Type() != reflect.TypeFor[chan struct{}]() {
		return reflect.Value{}
	}
	return end
}

// crew are goroutines that a voter waits for when it ends. Calls of other nodes outlive
// the voter they ask, and start none from then on.
type crew struct {
	sync.WaitGroup // Go is for the voter's own

	mu    sync.RWMutex // a leaf; held while one is started for another node
	ended bool
}

// begin runs f for another node; false if it is too late.
func (c *crew) begin(f func()) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.ended {
		c.Go(f)
	}
	return !c.ended
}

// end waits for all; none is begun any more.
func (c *crew) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.Wait()
}
