package sites

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// node is a site's machine, and what is on its disk.
type node struct {
	w     *cluster
	name  core.Site
	index int
	m     *sim.Machine
	p     *process // nil while it does not run

	life    uint32
	vector  version.Vector    // of the writes that are on its disk
	records record.LSN        // how much of its log is
	time    version.Timestamp // the highest in it
}

func (w *cluster) addNode(index int) {
	n := &node{w: w, name: core.Site("abcd"[index : index+1]), index: index, life: 1}
	n.m = w.s.Machine(string(n.name), n.boot, n.halt)
	w.nodes = append(w.nodes, n)
}

// origin is under whom the site writes in its present life.
func (n *node) origin() version.Origin {
	return version.Origin{ID: uint32(n.index + 1), Incarnation: n.life}
}

// live returns the process, if it runs and has not failed.
func (n *node) live() *process {
	if n.p == nil || n.p.dead {
		return nil
	}
	return n.p
}

// wall is the site's clock; an operator sets it right in the end.
func (n *node) wall() time.Time {
	if at := n.w.righted; !at.wall.IsZero() {
		return at.wall.Add(n.w.s.Now() - at.now)
	}
	return n.m.Clock.Now()
}

// boot starts a process over what the disk holds.
func (n *node) boot() {
	p := &process{n: n, w: n.w, s: n.w.s, store: map[string]record.State{}, index: map[version.Dot]record.LSN{}, waiting: map[record.LSN]*request{}}
	if err := p.open(); err != nil {
		n.w.s.Note(string(n.name), "does not start")
		n.w.s.Say(string(n.name), "%v", err)
		var corrupt *wal.CorruptError
		if errors.As(err, &corrupt) {
			n.w.s.Fail("PW3", "%s refuses a log that nobody damaged: %v", n.name, err)
		}
		n.m.Exit()
		return
	}
	n.p = p
	n.w.s.Note(string(n.name), "is up", uint64(p.core.End()), p.term)
	n.w.ledger.booted(p)
	p.lead()
	p.tick()
	p.links = make([]*end, len(n.w.nodes))
	for _, peer := range n.w.nodes {
		if n.w.c.linked(n.index, peer.index) && n.index < peer.index {
			p.dial(peer)
		}
	}
}

// halt is told that the process is gone.
func (n *node) halt() {
	if n.p != nil {
		n.p.dead = true
		n.p = nil
	}
	n.w.s.After(n.w.s.Lasting(50*time.Millisecond, 3*time.Second), n.m.Start)
}

// burn loses the site's disk. It comes back with an empty one, and a new life.
func (n *node) burn() {
	n.w.ledger.burns(n)
	n.m.Exit()
	n.m.Wipe()
	n.life++
	n.vector, n.records, n.time = nil, 0, 0
}

// process is one run of a site's node: the real core and log, a store in memory
// that is made anew from the log, and the shell's part played by events.
type process struct {
	n    *node
	w    *cluster
	s    *sim.Sim
	dead bool

	log      *wal.Driven
	core     *core.Core
	term     uint64
	items    []core.Item // of the log, by LSN less one
	index    map[version.Dot]record.LSN
	store    map[string]record.State
	applied  version.Vector
	done     record.LSN
	lost     []record.Version
	waiting  map[record.LSN]*request // by where their writes stand
	answered record.LSN
	flushing bool
	links    []*end
	session  uint64
}

// open reads where the site stands, and applies its log.
func (p *process) open() error {
	c := &p.w.c
	log, err := wal.Open(wal.Options{
		FS: p.n.m.Disk.FS(), Dir: "log", Cluster: [16]byte{1}, Node: topology.NodeID(p.n.name), SegmentBytes: c.segmentBytes, FirstSegmentBytes: c.segmentBytes,
		UnflushedBytesMax: 1 << 30, TailBytes: c.tailBytes,
	})
	if err != nil {
		return err
	}
	if p.log, err = log.Drive(); err != nil {
		return err
	}
	p.log.Notify(p.flushed)
	var at core.Position
	for e, err := range p.log.Read(context.Background(), 1) {
		if err != nil {
			return err
		}
		it, err := at.Add(e)
		if err != nil {
			return err
		}
		p.note(it)
	}
	cfg := core.Config{Self: p.n.name, Origin: p.n.origin(), MaxSkew: c.skew, Limits: c.limits}
	for _, m := range p.w.nodes {
		cfg.Members = append(cfg.Members, core.Member{Site: m.name, Number: uint32(m.index + 1)})
		if c.linked(p.n.index, m.index) {
			cfg.Links = append(cfg.Links, core.Link{Peer: m.name, Relay: c.shape != "mesh"})
		}
	}
	p.term = at.Term
	p.core = core.New(cfg, at, core.Incoming{})
	return p.apply(at.LSN)
}

// note keeps where a record stands.
func (p *process) note(it core.Item) {
	p.index[it.Dot] = it.Entry.LSN
	p.items = append(p.items, it)
}

// apply makes visible what is committed up to lsn.
func (p *process) apply(lsn record.LSN) error {
	if p.done >= lsn {
		return nil
	}
	for e, err := range p.log.Read(context.Background(), p.done+1) {
		if err != nil {
			return err
		}
		if e.LSN > lsn {
			break
		}
		r, err := e.Record()
		if err != nil {
			return err
		}
		changes, err := core.Apply(&r, lastWriter, p.applied, cells(p.store))
		if err != nil {
			return err
		}
		for _, c := range changes {
			p.store[string(c.Cell.Key)] = c.State
			p.lost = append(p.lost, c.Lost...)
		}
		if !r.IsNote() {
			p.applied = p.applied.With(r.Origin, r.Seq)
		}
		p.done = e.LSN
	}
	return nil
}

func lastWriter(record.TableID) conflict.Resolver { return conflict.LWW() }

// cells is a store of keys without fields.
type cells map[string]record.State

// Cell implements conflict.Cells.
func (s cells) Cell(c record.Cell) (record.State, error) { return s[string(c.Key)], nil }

// Fields implements conflict.Cells.
func (cells) Fields(record.TableID, []byte) ([][]byte, error) { return nil, nil }

// lead opens the site in a new term; where the log does not take it, again later.
func (p *process) lead() {
	if p.dead || p.core.Open() {
		return
	}
	p.term++
	p.step(core.Event{Kind: core.EvLead, Term: p.term})
	p.n.m.After(200*time.Millisecond, p.lead)
}

// step lets the core judge an event, and carries out what it says.
func (p *process) step(ev core.Event) []core.Effect {
	if p.dead {
		return nil
	}
	ev.Now = p.n.wall()
	effects := slices.Clone(p.core.Step(ev))
	for _, e := range effects {
		p.perform(e)
	}
	return effects
}

func (p *process) perform(e core.Effect) {
	if p.dead {
		return
	}
	switch e.Kind {
	case core.DoAppend:
		p.append(e)
	case core.DoCommit:
		if err := p.apply(e.LSN); err != nil {
			p.fail(err)
			return
		}
		p.answer(e.LSN)
	case core.DoSend:
		p.w.ledger.sends(p, &e.Message)
		if l := p.links[p.w.site(e.Peer).index]; l != nil && l.session == e.Session {
			l.conn.Send(e.Message.Encode())
		}
	case core.DoRead, core.DoFill:
		p.n.m.After(p.s.Lasting(0, p.w.c.reading), func() { p.read(e) })
	case core.DoFreeze:
		p.s.Fail("M1", "%s freezes %s: %v", p.n.name, e.Peer, e.Err)
	case core.DoAlarm:
		p.s.Say(string(p.n.name), "%v", e.Err)
		p.s.Reach("an origin was parked")
	case core.DoIncarnate:
		p.s.Fail("C1", "%s is told that it has forgotten writes, and has not", p.n.name)
	}
}

// append puts an item in the log, if it takes it.
func (p *process) append(e core.Effect) {
	p.w.ledger.minted(&e.Item.Entry)
	end := p.log.Bounds().End
	if e.LSN != end+1 {
		return // behind what was not appended
	}
	if err := p.log.Copy(e.Item.Entry); err != nil {
		p.s.Reach("a log took nothing")
		if !errors.Is(err, topology.ErrDiskFull) && !errors.Is(err, topology.ErrUnavailable) || errors.Is(err, topology.ErrFailed) {
			p.fail(err)
			return
		}
		p.step(core.Event{Kind: core.EvNotAppended, LSN: end})
	} else {
		p.note(e.Item)
	}
	p.flushLater()
}

// read reads for a peer.
func (p *process) read(e core.Effect) {
	if p.dead {
		return
	}
	ev := core.Event{Kind: core.EvRead, Peer: e.Peer, Session: e.Session, LSN: e.LSN}
	if e.Kind == core.DoRead {
		ev.Items = p.entries(e.LSN, e.To, e.N)
	} else {
		p.s.Reach("a gap was filled")
		for seq := e.First; seq <= e.Last; seq++ {
			at := p.index[version.Dot{Origin: e.Origin, Seq: seq}]
			ev.Items = append(ev.Items, p.entries(at, at, 1)...)
		}
	}
	p.step(ev)
}

// entries returns items of the log, which a node keeps in memory for its peers.
func (p *process) entries(from, to record.LSN, most int) []core.Item {
	to = min(to, from+record.LSN(most)-1)
	return slices.Clone(p.items[from-1 : to])
}

// flushLater sees to it that what was appended is written.
func (p *process) flushLater() {
	if p.flushing {
		return
	}
	p.flushing = true
	p.n.m.After(p.n.m.Disk.SyncTime(), func() {
		p.flushing = false
		if p.dead {
			return
		}
		if _, err := p.log.Write(); err != nil || p.dead {
			return // the log has told
		}
		if b := p.log.Bounds(); b.Flushed < b.End {
			p.flushLater()
		}
	})
}

// flushed is called by the log after each flush, and once when it fails. A site
// of one node has committed what it has flushed.
func (p *process) flushed(b topology.Bounds, err error) {
	if err != nil {
		p.fail(err)
		return
	}
	p.s.Note(string(p.n.name), "flushed", uint64(b.Flushed))
	p.w.ledger.flushed(p, b.Flushed)
	p.step(core.Event{Kind: core.EvCommitted, LSN: b.Flushed})
}

// fail ends the process: nothing more is acknowledged.
func (p *process) fail(err error) {
	if p.dead {
		return
	}
	p.dead = true
	p.s.Note(string(p.n.name), "fails")
	p.s.Say(string(p.n.name), "%v", err)
	p.n.m.After(0, p.n.m.Exit)
}

// tick lets time pass.
func (p *process) tick() {
	p.n.m.After(p.s.Lasting(p.w.c.tick/2, 2*p.w.c.tick), func() {
		if !p.dead {
			p.step(core.Event{Kind: core.EvTick})
			p.tick()
		}
	})
}
