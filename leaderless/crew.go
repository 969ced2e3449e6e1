package leaderless

import (
	"context"
	"slices"
	"sync"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
)

// crew are the streams to the other nodes of the map, which come and go with it.
type crew struct {
	e *engine

	mu   sync.Mutex // a leaf
	all  []*peer    // by name; replaced, never changed
	news chan struct{}
}

func newCrew(e *engine) *crew { return &crew{e: e, news: make(chan struct{}, 1)} }

// others are the streams to all other nodes, by name; read only.
func (e *engine) others() []*peer {
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	return e.crew.all
}

// peer is the stream to a node, nil if that is none of the map's.
func (e *engine) peer(id topology.NodeID) *peer {
	for _, p := range e.others() {
		if p.id == id {
			return p
		}
	}
	return nil
}

// follow makes the crew that of a map, and tells the membership where those are who came.
func (c *crew) follow(m *placement.Map) {
	c.mu.Lock()
	was := c.all
	c.all = nil
	for _, id := range m.Nodes() {
		if id == c.e.env.Self {
			continue
		}
		i := slices.IndexFunc(was, func(p *peer) bool { return p.id == id })
		if i < 0 {
			c.all = append(c.all, newPeer(c.e, id))
		} else {
			c.all = append(c.all, was[i])
		}
	}
	c.mu.Unlock()
	c.admit(m)
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// admit tells the membership of nodes that came by an order, and where they are.
func (c *crew) admit(m *placement.Map) {
	a, ok := c.e.env.Membership.(topology.Admitter)
	if !ok {
		return
	}
	var ms []topology.Member
	for _, id := range m.Nodes() {
		if n, _ := m.Node(id); n.Addr != "" && id != c.e.env.Self {
			ms = append(ms, topology.Member{ID: id, Addr: n.Addr, Site: n.Site})
		}
	}
	if len(ms) > 0 {
		a.Admit(ms...)
	}
}

// run keeps the streams to all that there are, and ends those to others.
func (c *crew) run(ctx context.Context) error {
	var wait sync.WaitGroup
	defer wait.Wait()
	ends := map[*peer]context.CancelFunc{}
	for {
		all := c.e.others()
		for p, end := range ends {
			if !slices.Contains(all, p) {
				end()
				delete(ends, p)
			}
		}
		for _, p := range all {
			if ends[p] != nil {
				continue
			}
			own, end := context.WithCancel(ctx)
			ends[p] = end
			wait.Go(func() {
				_ = p.run(own) // it ends with its context
				p.turn(false, nil)
			})
		}
		select {
		case <-c.news:
		case <-ctx.Done():
			for _, end := range ends {
				end()
			}
			return nil
		}
	}
}
