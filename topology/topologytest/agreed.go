package topologytest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// Agreed is a control in memory whose documents all nodes share, as those of raft
// and etcd are: one Agreed for a cluster, one [Agreed.Open] for each process. Its
// faults are those that a network brings: nodes that do not reach it, and answers
// that are lost.
type Agreed struct {
	mu      sync.Mutex
	docs    map[string]topology.Document
	numbers uint64
	held    map[topology.NodeID]*agreedClaim
	cut     map[topology.NodeID]bool
	opened  []*agreedControl
	loses   float64    // chance that a swap's answer is lost
	rand    *rand.Rand // for it
	swaps   int
}

// NewAgreed returns an empty control.
func NewAgreed() *Agreed {
	return &Agreed{docs: map[string]topology.Document{}, held: map[topology.NodeID]*agreedClaim{}, cut: map[topology.NodeID]bool{}}
}

// Cut keeps node from reaching the control, or lets it again.
func (a *Agreed) Cut(node topology.NodeID, cut bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut[node] = cut
	if !cut {
		for _, c := range a.opened {
			if c.self == node {
				c.catchUp()
			}
		}
	}
}

// Lose makes the answers of swaps get lost with chance p, drawn from seed.
func (a *Agreed) Lose(p float64, seed uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loses, a.rand = p, rand.New(rand.NewPCG(seed, 1))
}

// Swaps returns how many swaps have succeeded.
func (a *Agreed) Swaps() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.swaps
}

// Open returns the control of a process of node self.
func (a *Agreed) Open(self topology.NodeID) topology.Control {
	c := &agreedControl{a: a, self: self, stale: map[string]chan struct{}{}, seen: map[string]topology.Document{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened = append(a.opened, c)
	c.catchUp()
	return c
}

// agreedControl is one process's control; what it has is guarded by Agreed.mu.
type agreedControl struct {
	a     *Agreed
	self  topology.NodeID
	seen  map[string]topology.Document
	stale map[string]chan struct{}
}

// catchUp shows the process what is newer than what it has seen.
func (c *agreedControl) catchUp() {
	for name, d := range c.a.docs {
		if d.Version > c.seen[name].Version && !c.a.cut[c.self] {
			c.seen[name] = d
			if ch := c.stale[name]; ch != nil {
				close(ch)
				delete(c.stale, name)
			}
		}
	}
}

func (c *agreedControl) reach(ctx context.Context, op string) error {
	err := ctx.Err()
	if err == nil && c.a.cut[c.self] {
		err = topology.ErrUnavailable
	}
	if err != nil {
		return &topology.Error{Op: op, Node: c.self, Outcome: topology.NotApplied, Err: err}
	}
	return nil
}

func (c *agreedControl) Load(ctx context.Context, name string) (topology.Document, error) {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	if err := c.reach(ctx, "load"); err != nil {
		return topology.Document{}, err
	}
	d := c.a.docs[name]
	d.Name, d.Body = name, bytes.Clone(d.Body)
	return d, nil
}

func (c *agreedControl) Swap(ctx context.Context, d topology.Document) (topology.Document, error) {
	a := c.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := c.reach(ctx, "swap"); err != nil {
		return topology.Document{}, err
	}
	if have := a.docs[d.Name].Version; have != d.Version {
		return topology.Document{}, &topology.Error{Op: "swap", Node: c.self, Outcome: topology.NotApplied, Err: fmt.Errorf("%w: document %s has version %d, not %d", topology.ErrConflict, d.Name, have, d.Version)}
	}
	d.Version, d.Body = d.Version+1, bytes.Clone(d.Body)
	a.docs[d.Name] = d
	a.swaps++
	for _, o := range a.opened {
		o.catchUp()
	}
	if a.loses > 0 && a.rand.Float64() < a.loses {
		return topology.Document{}, &topology.Error{Op: "swap", Node: c.self, Outcome: topology.Unknown, Err: topology.ErrTimeout}
	}
	d.Body = bytes.Clone(d.Body)
	return d, nil
}

func (c *agreedControl) Latest(name string) (topology.Document, <-chan struct{}) {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	if c.stale[name] == nil {
		c.stale[name] = make(chan struct{})
	}
	d := c.seen[name]
	d.Name, d.Body = name, bytes.Clone(d.Body)
	return d, c.stale[name]
}

func (c *agreedControl) Register(ctx context.Context, id topology.NodeID) (topology.Registration, error) {
	a := c.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := c.reach(ctx, "register"); err != nil {
		return nil, err
	}
	if a.held[id] != nil {
		return nil, &topology.Error{Op: "register", Node: id, Outcome: topology.NotApplied, Err: topology.ErrConflict}
	}
	a.numbers++
	a.held[id] = &agreedClaim{a: a, id: id, number: a.numbers, lost: make(chan struct{})}
	return a.held[id], nil
}

// Run forgets what the process held once it ends.
func (c *agreedControl) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

type agreedClaim struct {
	a      *Agreed
	id     topology.NodeID
	number uint64
	lost   chan struct{}
}

func (c *agreedClaim) Number() uint64        { return c.number }
func (c *agreedClaim) Lost() <-chan struct{} { return c.lost }

func (c *agreedClaim) Close() error {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	if c.a.held[c.id] == c {
		delete(c.a.held, c.id)
		close(c.lost)
	}
	return nil
}
