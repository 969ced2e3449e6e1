package world

import (
	"context"
	"net"
	"sync"

	"github.com/triad-kv/triad/internal/bench/scenario"
)

// Visitor is one client of a site, with connections of its own where its protocol has
// them. One goroutine at a time uses it.
type Visitor struct {
	w     *World
	site  string
	wires map[string]*wire // by node; nil where the way has none
}

// visitors are all of a world, which closes what they leave open.
type visitors struct {
	mu  sync.Mutex // a leaf
	all []*Visitor
}

// Visitor makes the next client of a site.
func (w *World) Visitor(site string) *Visitor {
	v := &Visitor{w: w, site: site}
	if w.o.Variant.Via == scenario.ViaRESP {
		v.wires = map[string]*wire{}
		w.visitors.mu.Lock()
		defer w.visitors.mu.Unlock()
		w.visitors.all = append(w.visitors.all, v)
	}
	return v
}

// leave closes every connection; nobody asks any more.
func (vs *visitors) leave() {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.all {
		for _, w := range v.wires {
			w.close()
		}
	}
	vs.all = nil
}

// Writer is whom the client writes to, as [World.Writer] has it.
func (v *Visitor) Writer() Way { return v.through(v.w.Writer(v.site)) }

// Reader is whom the client reads from, as [World.Reader] has it.
func (v *Visitor) Reader() Way { return v.through(v.w.Reader(v.site)) }

func (v *Visitor) through(way Way) Way {
	if v.wires != nil {
		way.door = redis{v, way.Node}
	}
	return way
}

// wire is the client's connection to a node, which it makes if there is none.
func (v *Visitor) wire(ctx context.Context, n *Node) (*wire, error) {
	if w := v.wires[n.ID]; w != nil {
		return w, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	sock, err := v.w.dialFrom(v.site)(ctx, n.proc.resp)
	if err != nil {
		return nil, err
	}
	v.wires[n.ID] = newWire(sock)
	return v.wires[n.ID], nil
}

func (v *Visitor) drop(n *Node) {
	if w := v.wires[n.ID]; w != nil {
		w.close()
		delete(v.wires, n.ID)
	}
}

// dialFrom is how clients of a site connect: through the link to whoever's address that
// is, by whatever name a node gave it.
func (w *World) dialFrom(site string) func(ctx context.Context, addr string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		direct := func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
		n := w.named[addr]
		if n == nil {
			return direct(ctx)
		}
		if addr != n.proc.resp {
			addr = n.addr // what others call it leads through their links
		}
		if l := w.clients[way{site, n.ID}]; l != nil {
			return l.Dial(ctx, direct)
		}
		return direct(ctx)
	}
}
