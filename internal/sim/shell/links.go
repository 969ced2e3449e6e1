package shell

import (
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// links are what lies between the machines.
type links struct {
	*transport.Network
	w   *world
	far []string // hosts of clients

	mu     sync.Mutex // a leaf
	slowed time.Time  // until when something may be held back
}

// pave makes all roads alike.
func (l *links) pave(r transport.Road) {
	for _, a := range l.w.members {
		for _, b := range l.w.members {
			l.Pave(a.Addr, b.Addr, r)
		}
	}
	for _, c := range l.clients() {
		for _, m := range l.w.members {
			l.Pave(c, m.Addr, r)
			l.Pave(m.Addr, c, r)
		}
	}
}

// part cuts a machine off from all others.
func (l *links) part(ip string) { l.others(ip, l.Cut) }

// join ends every cut of a machine.
func (l *links) join(ip string) { l.others(ip, l.Heal) }

func (l *links) others(ip string, f func(a, b string)) {
	for _, m := range l.w.machines {
		if m.ip != ip {
			f(ip, m.ip)
		}
	}
	for _, c := range l.clients() {
		f(ip, c)
	}
}

// clients are the hosts of those far away.
func (l *links) clients() []string {
	l.w.dialling.Lock()
	defer l.w.dialling.Unlock()
	return slices.Clone(l.far)
}

// note remembers that the network holds things back during f, and a while after it.
func (l *links) note(f Fault) {
	switch f.Kind {
	case PowerCut, Isolate, OneWay, Split, Flap, Slow, Force:
		l.mu.Lock()
		defer l.mu.Unlock()
		if until := time.Now().Add(f.For + slowTail); until.After(l.slowed) {
			l.slowed = until
		}
	}
}

// slowTail is how long after a fault of the network what it held back still
// arrives.
const slowTail = 10 * time.Second

// delayed reports whether what was sent since a time may have been held back.
func (l *links) delayed(since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return since.Before(l.slowed) || l.w.plan.Road.Delay > 0
}

// split cuts all links between the first nodes from f.Node on and the rest.
func (l *links) split(f Fault) {
	at := slices.Index(l.w.plan.Nodes, f.Node)
	side := func(id topology.NodeID) bool {
		return (slices.Index(l.w.plan.Nodes, id)-at+len(l.w.plan.Nodes))%len(l.w.plan.Nodes) < len(l.w.plan.Nodes)/2
	}
	each := func(do func(a, b string)) {
		for _, a := range l.w.plan.Nodes {
			for _, b := range l.w.plan.Nodes {
				if side(a) && !side(b) {
					do(l.w.machines[a].ip, l.w.machines[b].ip)
				}
			}
		}
	}
	each(l.Cut)
	l.w.later(f.For, func() { each(l.Heal) })
}

const flapEvery = 200 * time.Millisecond

func (l *links) flap(a, b *machine, d time.Duration) {
	for ; d > 0 && !l.w.healed.Load(); d -= 2 * flapEvery {
		l.Cut(a.ip, b.ip)
		time.Sleep(flapEvery)
		l.Heal(a.ip, b.ip)
		time.Sleep(flapEvery)
	}
}
