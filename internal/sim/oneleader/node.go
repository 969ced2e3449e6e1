package oneleader

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// node is one member of the group: a machine, and what is on its disk.
type node struct {
	w  *cluster
	id topology.NodeID
	m  *sim.Machine
	p  *process // nil while it does not run

	lives   uint64 // of its directory so far
	shown   []saved
	damaged bool             // it does not start: only an empty directory helps
	repair  bool             // it has an empty directory, and is not caught up yet
	halved  bool             // its store is a snapshot's, its log perhaps not yet
	durable topology.Bounds  // of its log, as it was last reported flushed
	history topology.History // of its log, then
}

// saved is a state of the store that a crash may bring back.
type saved struct {
	snap    topology.Snapshot
	flushed bool // nothing older comes back
}

func (w *cluster) addNode(id topology.NodeID) {
	n := &node{w: w, id: id, lives: 1}
	n.m = w.s.Machine(string(id), n.boot, n.halt)
	w.nodes = append(w.nodes, n)
}

// live returns the process, if it runs and has not failed.
func (n *node) live() *process {
	if n.p == nil || n.p.dead {
		return nil
	}
	return n.p
}

// life is the number of its present directory.
func (n *node) life() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(n.id))
	return h.Sum64()>>16 + n.lives
}

// boot starts a process over what the disk holds.
func (n *node) boot() {
	p := &process{n: n, w: n.w, s: n.w.s, booted: n.w.s.Now(), rate: 1}
	if d := n.w.c.drift; d > 0 {
		p.rate += p.s.Rand.Float64() * d.Seconds()
	}
	p.ballot.p, p.reading.p, p.council.p = p, p, p
	err := p.open()
	if err == nil {
		n.p = p
		n.w.s.Note(string(n.id), "is up", p.core.Term, uint64(p.core.End), uint64(p.core.Applied))
		n.w.s.Say(string(n.id), "its log: %+v, terms %v", p.log.Bounds(), p.log.History())
		n.w.ledger.booted(p)
		p.begin()
		return
	}
	var corrupt *wal.CorruptError
	var format *wal.FormatError
	switch {
	case errors.As(err, &corrupt), errors.As(err, &format), errors.Is(err, home.ErrCorrupt), errors.Is(err, home.ErrLost):
		n.w.s.Note(string(n.id), "is damaged")
		n.w.s.Say(string(n.id), "%v", err)
		n.w.ledger.refused(n, err)
		n.damaged = true
	default:
		n.w.s.Note(string(n.id), "does not start")
		n.w.s.Say(string(n.id), "%v", err)
	}
	n.m.Exit()
}

// halt is told that the process is gone: what was in memory is lost, and of the
// store what was not made durable, as far as chance has it.
func (n *node) halt() {
	if n.p != nil {
		for _, k := range n.p.sinks.open {
			if k.agreed.Ack(n.p.log.Bounds(), 0).Flushed > k.told.Flushed {
				n.w.s.Reach("a node died between a flush and its ack")
				break
			}
		}
		n.p.dead = true
		n.p = nil
	}
	if len(n.shown) > 0 {
		at := n.w.s.Rand.IntN(len(n.shown))
		n.shown = append(n.shown[:0], saved{n.shown[at].snap, true})
	}
	if !n.damaged {
		n.w.s.After(n.w.s.Lasting(50*time.Millisecond, 3*time.Second), n.m.Start)
	}
}

// wipe gives the node an empty directory, as an operator does where it has lost
// its own.
func (n *node) wipe() {
	n.m.Exit()
	n.m.Wipe()
	n.w.ledger.wiped(n)
	n.lives++
	n.shown, n.damaged, n.repair, n.halved = nil, false, n.w.isMember(n), false
	n.durable, n.history = topology.Bounds{First: 1}, nil
	n.w.s.Reach("a node came back with an empty directory")
	n.m.Start()
}

// process is one run of a node: the real core, log, stable documents and side
// log, the store that keeps nothing, and the shell's part played by events.
type process struct {
	n    *node
	w    *cluster
	s    *sim.Sim
	dead bool

	ports

	core   core.Core
	group  core.Group
	resync bool
	booted time.Duration
	rate   float64    // of its monotonic clock
	sure   record.LSN // its log is known to be the committed one up to here

	flushing bool
	writing  writing
	reading  reading
	applying applying
	sinks    sinks
	reign    reign
	feeding  feeding
	ballot   ballot
	council  council
}

// ports are what a host lends an engine.
type ports struct {
	home    *home.Home
	control topology.Control
	log     *wal.Driven
	store   *store.Memory
	clock   *version.Clock
}

// open reads where the node stands.
func (p *process) open() error {
	n, c := p.n, &p.w.c
	var err error
	if p.home, err = home.Open(home.Options{
		FS: n.m.Disk.FS(), Dir: "node", Cluster: "sim", Node: n.id, Life: n.life(),
		OnFailure: func(err error) { p.after(0, func() { p.fail(err) }) },
	}); err != nil {
		return err
	}
	if err := p.home.Adopt([16]byte{1}); err != nil {
		return err
	}
	dir, err := p.home.Place("log")
	if err != nil {
		return err
	}
	log, err := wal.Open(wal.Options{
		FS: n.m.Disk.FS(), Dir: dir, Cluster: [16]byte{1}, Node: n.id, SegmentBytes: c.segmentBytes, FirstSegmentBytes: c.segmentBytes,
		UnflushedBytesMax: 1 << 30, TailBytes: c.tailBytes, Logger: slog.New(heard{p.s}),
	})
	if err != nil {
		return err
	}
	if p.log, err = log.Drive(); err != nil {
		return err
	}
	if p.control, err = static.New(static.Options{Leader: c.nodes[0]})(topology.ControlEnv{Self: n.id, Stable: p.home}); err != nil {
		return err
	}
	p.clock = version.NewClock(n.m.Clock.Now, version.MaxSkewDefault)
	p.ballot.since = p.s.Now()
	return p.recover()
}

// recover does what the engine does when it is opened.
func (p *process) recover() error {
	accepted, err := p.standing()
	if err != nil {
		return err
	}
	policy := p.w.c.sync
	if p.group.Policy != "" {
		if policy, _, err = p.group.Rule(); err != nil {
			return err
		}
	}
	if p.store, err = p.n.restored(); err != nil {
		return err
	}
	if err := p.finishInstall(); err != nil {
		return err
	}
	if err := p.loadRequests(); err != nil {
		return err
	}
	at := p.positions()
	if p.resync = !at.Fits(); p.resync {
		p.s.Reach("log and store did not fit")
	}
	promised, err := pledged(p.home)
	if err != nil {
		return err
	}
	p.core = core.Recover(p.n.id, policy.Kind == quorum.KindAsync, accepted, promised, at)
	p.applying.target = p.core.Applied
	if at.End < at.First {
		return nil
	}
	for e, err := range p.log.Read(context.Background(), at.End) {
		if err != nil {
			return err
		}
		r, err := e.Record()
		if err != nil {
			return err
		}
		p.clock.Raise(r.Time)
	}
	return nil
}

func (p *process) positions() *core.Positions {
	return &core.Positions{Bounds: p.log.Bounds(), History: p.log.History(), Applied: p.store.Applied()}
}

// standing reads the control document and the accepted term.
func (p *process) standing() (core.Group, error) {
	if p.w.agreed != nil {
		b, err := p.home.Load(stableAccepted)
		if err != nil {
			return core.Group{}, err
		}
		p.group, err = core.DecodeAccepted(b)
		return p.group, err
	}
	d, err := p.control.Load(context.Background(), topology.DocumentGroup)
	if err == nil && d.Version == 0 {
		var g core.Group
		if g, err = p.w.voting().First(p.w.c.nodes[0]); err == nil {
			d.Name, d.Body = topology.DocumentGroup, g.Encode()
			d, err = p.control.Swap(context.Background(), d)
		}
	}
	if err != nil {
		return core.Group{}, err
	}
	if p.group, err = core.DecodeGroup(d.Body); err != nil {
		return core.Group{}, err
	}
	b, err := p.home.Load(stableAccepted)
	if err != nil {
		return core.Group{}, err
	}
	accepted, err := core.DecodeAccepted(b)
	p.group = core.Standing(p.group, accepted)
	return accepted, err
}

func (w *cluster) voting() core.Voting {
	return core.Voting{Sync: w.c.sync, MinInSync: w.c.minInSync, ReadReplicas: w.c.replicas, Members: w.c.nodes, Lease: w.c.lease, Drift: w.c.drift, Lag: w.c.lag}
}

const (
	stableAccepted = "accepted"
	stableInstall  = "install"
)

// restored returns the store as the last crash has left it.
func (n *node) restored() (*store.Memory, error) {
	m := store.NewMemory()
	if len(n.shown) == 0 {
		return m, n.save(m, true)
	}
	snap := n.shown[len(n.shown)-1].snap
	from, err := snap.Installed()
	if err != nil {
		return nil, err
	}
	st, err := m.Stage(from)
	if err != nil {
		return nil, err
	}
	for e, err := range snap.Scan(record.Cell{}, record.Cell{Table: ^record.TableID(0)}) {
		if err == nil {
			err = st.Put(nil, []topology.Edit{e})
		}
		if err != nil {
			return nil, err
		}
	}
	if err := st.Install(snap.Applied()); err != nil {
		return nil, err
	}
	return m, n.save(m, true)
}

// save notes a state that a crash may bring back; if it was flushed, nothing
// older.
func (n *node) save(m *store.Memory, flushed bool) error {
	snap, err := m.Snapshot()
	if err != nil {
		return err
	}
	if flushed {
		n.shown = n.shown[:0]
	}
	n.shown = append(n.shown, saved{snap, flushed})
	return nil
}

// begin does what the engine does when it is run.
func (p *process) begin() {
	p.log.Notify(p.flushed)
	p.step(core.Event{Kind: core.EvFlushed, LSN: p.log.Bounds().Flushed}, nil)
	if p.w.agreed != nil {
		p.council.begin()
	} else {
		p.ballot.stand()
	}
	p.feeding.begin(p)
	p.trimLater()
}

// after runs f later, if the process is still there.
func (p *process) after(d time.Duration, f func()) { p.n.m.After(d, f) }

// fail ends the process: nothing more is acknowledged.
func (p *process) fail(err error) {
	if p.dead {
		return
	}
	p.dead = true
	p.s.Note(string(p.n.id), "fails")
	p.s.Say(string(p.n.id), "%v", err)
	p.after(0, p.n.m.Exit)
}

// heard counts what the log says of itself, and nothing else hears it.
type heard struct{ s *sim.Sim }

func (h heard) Enabled(context.Context, slog.Level) bool { return true }
func (h heard) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h heard) WithGroup(string) slog.Handler            { return h }
func (h heard) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "torn tail cut" {
		h.s.Reach("a torn tail was cut")
	}
	return nil
}

// passing reports whether err says no more than that the log takes nothing now.
func passing(err error) bool {
	return (errors.Is(err, topology.ErrDiskFull) || errors.Is(err, topology.ErrUnavailable)) && !errors.Is(err, topology.ErrFailed)
}
