package leaderless

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// protocolPeer is what the streams between nodes are called. Each carries the messages
// of the node that opened it; what the other side answers goes by its own.
const protocolPeer = "leaderless"

// Limits of a stream.
const (
	outgoingMax   = 4096    // messages that wait for a peer; more are lost, and made good by exchange
	outgoingBytes = 8 << 20 // of them
	incomingMax   = 256     // messages of a peer that wait for the loop
	dialPauseMin  = 20 * time.Millisecond
	dialPauseMax  = time.Second
)

// peer is another node, and what goes to it.
type peer struct {
	e  *engine
	id topology.NodeID

	mu      sync.Mutex // guards what follows; a leaf
	up      bool
	queue   [][]byte
	bytes   int
	enc     *record.Encoder
	problem string // why it is not up
	refused string // why this node takes nothing of it
	contact time.Time
	news    chan struct{} // there is something in the queue
}

func newPeer(e *engine, id topology.NodeID) *peer {
	return &peer{e: e, id: id, enc: record.NewEncoder(), news: make(chan struct{}, 1)}
}

// isUp reports whether the peer can be reached.
func (p *peer) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

// send gives a message to the stream; it is lost where there is none, or no room.
func (p *peer) send(m *core.Message) {
	p.mu.Lock()
	room := p.up && len(p.queue) < outgoingMax && p.bytes < outgoingBytes
	if room {
		b := m.Encode(nil, p.enc)
		p.queue = append(p.queue, b)
		p.bytes += len(b)
	}
	p.mu.Unlock()
	if room {
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
}

// take returns what waits.
func (p *peer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queue
	p.queue, p.bytes = nil, 0
	return q
}

// run keeps a stream to the peer.
func (p *peer) run(ctx context.Context) error {
	pause := dialPauseMin
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		began := time.Now()
		err := p.talk(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > dialPauseMax {
			pause = dialPauseMin
		}
		p.turn(false, err)
		t.Reset(pause)
		pause = min(2*pause, dialPauseMax)
	}
}

// talk opens a stream, and sends what there is until that fails. The other side sends
// nothing but its greeting; that it has ended is heard all the same.
func (p *peer) talk(ctx context.Context) error {
	st, err := p.e.env.Transport.Open(ctx, p.id, protocolPeer)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := st.Send(greeter{p.e}.hello()); err != nil {
		return err
	}
	b, err := st.Recv()
	if err == nil {
		err = greeter{p.e}.greeted(b)
	}
	if err != nil {
		return err
	}
	p.turn(true, nil)
	ended := make(chan error, 1)
	go func() {
		_, err := st.Recv()
		ended <- err
	}()
	defer func() { _ = st.Close(); <-ended }()
	for {
		select {
		case <-p.news:
			for _, b := range p.take() {
				if err := st.Send(b); err != nil {
					return err
				}
			}
		case err := <-ended:
			ended <- err
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// turn notes whether the peer can be reached, and tells the core.
func (p *peer) turn(up bool, err error) {
	p.mu.Lock()
	was := p.up
	p.up = up
	if !up {
		p.queue, p.bytes = nil, 0
	}
	p.problem = ""
	if err != nil && !errors.Is(err, io.EOF) {
		p.problem = err.Error()
	}
	if up {
		p.contact = time.Now()
	}
	p.mu.Unlock()
	if was == up {
		return
	}
	e := p.e
	_ = e.loop.post(func() { // once it has ended nobody waits for the peer
		e.loop.step(core.Event{Kind: core.EvAlive, Nodes: e.alive()})
		if !up {
			e.loop.step(core.Event{Kind: core.EvLost, Node: p.id, Err: fmt.Errorf("%w: %s can not be reached", topology.ErrUnavailable, p.id)})
		}
	})
}

// alive returns who can be reached, besides this node.
func (e *engine) alive() (ids []topology.NodeID) {
	for _, p := range e.others() {
		p.mu.Lock()
		if p.up {
			ids = append(ids, p.id)
		}
		p.mu.Unlock()
	}
	return ids
}

// A greeting is an array of two: format, 1, and the map's fingerprint.
const helloFormat = 1

// greeter opens and takes streams.
type greeter struct{ e *engine }

func (g greeter) hello() []byte {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(helloFormat)
	w.Uint(g.print())
	return w.Bytes()
}

// print is what must be the same on both sides: the map, and where keys are to be
// linearizable how they are written and read. One node that does so otherwise would void
// it for all.
func (g greeter) print() uint64 {
	e := g.e
	print := placement.Fingerprint(e.place)
	if e.o.Repair == core.RepairWriteBack {
		h := fnv.New64a()
		fmt.Fprintf(h, "write-back %v %v", e.o.Write, e.o.Read)
		print ^= h.Sum64()
	}
	return print
}

// greeted says why nothing may be exchanged with who sent this greeting.
func (g greeter) greeted(b []byte) error {
	r := pack.NewReader(b)
	r.ArrayOf(2)
	format, print := r.Uint(), r.Uint()
	switch err := r.Done(); {
	case err != nil:
		return fmt.Errorf("%w greeting: %w", topology.ErrMalformed, err)
	case format != helloFormat:
		return fmt.Errorf("%w: the other side greets in format %d, this version knows %d", topology.ErrUnsupported, format, helloFormat)
	case print != g.print():
		return fmt.Errorf("%w: the other side cuts keys into another number of partitions, or has another repair, write or read where repair is write-back; they must be the same on all nodes", topology.ErrStale)
	}
	return nil
}

// serve takes the stream of another node.
func (g greeter) serve(ctx context.Context, st topology.Stream) error {
	e := g.e
	id := st.Peer().ID
	p := e.peer(id)
	if p == nil {
		return fmt.Errorf("%w: %s is no member", topology.ErrDenied, id)
	}
	b, err := st.Recv()
	if err != nil {
		return err
	}
	err = g.greeted(b)
	p.mu.Lock()
	p.refused = ""
	if err != nil {
		p.refused = err.Error()
	}
	p.mu.Unlock()
	if serr := st.Send(g.hello()); err != nil || serr != nil {
		return errors.Join(err, serr)
	}
	if err := e.life.meet(id, st.Peer().Life); err != nil {
		return err
	}
	if err := e.loop.started(ctx); err != nil {
		return nil //nolint:nilerr // it ends
	}
	room := make(chan struct{}, incomingMax)
	for {
		b, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		m, err := core.DecodeMessage(append([]byte(nil), b...))
		if err != nil {
			return fmt.Errorf("from %s: %w", id, err)
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		p.mu.Lock()
		p.contact = time.Now()
		p.mu.Unlock()
		err = e.loop.post(func() {
			<-room
			e.loop.keeper.heard(id, m)
			e.loop.step(core.Event{Kind: core.EvMessage, Node: id, Message: m})
		})
		if err != nil {
			return nil //nolint:nilerr // the engine has ended
		}
	}
}
