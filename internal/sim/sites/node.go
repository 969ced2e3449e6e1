package sites

import (
	"context"
	"errors"
	"fmt"
	"math"
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

// node is one machine of a site, and what is on its disk beside the log.
type node struct {
	w    *cluster
	site *site
	name string
	m    *sim.Machine
	p    *process // nil while it does not run
	skew time.Duration

	term  uint64 // the greatest that it has promised to follow
	saved *state // the store, as of what of it is on the disk
	begin bool   // the log is to begin behind the store: a snapshot of its site was put in its place
	blank bool   // its disk was lost: it counts once it has all again
	disk  int    // how often it was
}

// live returns the process, if it runs and has not failed.
func (n *node) live() *process {
	if n.p == nil || n.p.dead {
		return nil
	}
	return n.p
}

// wall is the node's clock; an operator sets it right in the end.
func (n *node) wall() time.Time {
	if at := n.w.righted; !at.wall.IsZero() {
		return at.wall.Add(n.w.s.Now() - at.now)
	}
	return n.m.Clock.Now().Add(n.skew)
}

// boot starts a process over what the disk holds.
func (n *node) boot() {
	if n.site.out {
		n.m.Exit()
		return
	}
	p := &process{n: n, w: n.w, s: n.w.s}
	if err := p.open(); err != nil {
		n.w.s.Note(n.name, "does not start")
		n.w.s.Say(n.name, "%v", err)
		var corrupt *wal.CorruptError
		if errors.As(err, &corrupt) || errors.Is(err, errBroken) {
			n.w.s.Fail("PW3", "%s refuses a log that nobody damaged: %v", n.name, err)
		}
		n.m.Exit()
		return
	}
	n.p = p
	n.w.s.Note(n.name, "is up", uint64(p.log.Bounds().End), n.term)
	p.tick()
}

// errBroken is what a log and a store come to that do not fit.
var errBroken = errors.New("the log and the store do not fit")

// halt is told that the process is gone.
func (n *node) halt() {
	if n.p != nil {
		n.p.mourn()
		n.p.dead = true
		n.p = nil
	}
	n.w.s.After(n.w.s.Lasting(50*time.Millisecond, 2*time.Second), func() {
		if !n.site.out {
			n.m.Start()
		}
	})
}

// mourn notes in what a process died.
func (p *process) mourn() {
	if p.reign == nil || p.reign.core == nil {
		return
	}
	switch p.reign.core.Incoming().Stage {
	case core.StageBegun:
		p.s.Reach("a site's leader died when a snapshot had begun")
	case core.StageComing:
		p.s.Reach("a site's leader died while a snapshot came")
	case core.StageSettling:
		p.s.Reach("a site's leader died while a snapshot settled")
	}
	for _, t := range p.w.sites {
		if v := p.reign.served[t.name]; v != nil && p.s.Now()-v.used < servedFor/3 {
			p.s.Reach("a site's leader died while it gave a snapshot")
		}
	}
}

// burn loses the node's disk.
func (n *node) burn() {
	n.m.Exit()
	n.m.Wipe()
	n.term, n.saved, n.begin, n.blank = n.site.term, nil, false, true
	n.disk++
}

// process is one run of a node: the real log, a store in memory over what of it is on
// the disk, and, where it leads its site, a reign.
type process struct {
	n    *node
	w    *cluster
	s    *sim.Sim
	dead bool

	log      *wal.Driven
	at       core.Position // of the log's end
	items    []core.Item   // of the log, from first on
	first    record.LSN
	index    map[version.Dot]record.LSN
	store    *state // what is committed, as far as is known
	known    record.LSN
	agreed   record.LSN // up to here the log is the leader's of the present term
	flushing bool
	reign    *reign // nil: it does not lead
}

// open reads where the node stands.
func (p *process) open() error {
	c, n := &p.w.c, p.n
	log, err := wal.Open(wal.Options{
		FS: n.m.Disk.FS(), Dir: "log", Cluster: [16]byte{1}, Node: topology.NodeID(n.name), SegmentBytes: c.log.segmentBytes, FirstSegmentBytes: c.log.segmentBytes,
		UnflushedBytesMax: 1 << 30, TailBytes: c.log.tailBytes,
	})
	if err != nil {
		return err
	}
	if p.log, err = log.Drive(); err != nil {
		return err
	}
	p.log.Notify(p.flushed)
	p.store = newState(c)
	if n.saved != nil {
		p.store = n.saved.clone()
	}
	if n.begin || p.log.Bounds().End < p.store.pos.LSN {
		if err := p.beginBehind(); err != nil {
			return err
		}
	}
	p.known = p.store.pos.LSN
	return p.load()
}

// beginBehind has the log begin behind the store.
func (p *process) beginBehind() error {
	at := p.store.pos
	keep := topology.Range{First: at.LSN + 1, Last: at.LSN}
	if at.LSN > 0 {
		keep.History = topology.History{{Term: at.Term, Start: at.LSN}}
	}
	if err := p.log.Truncate(keep); err != nil {
		return err
	}
	p.n.begin = false
	return nil
}

// load reads the log, from the first place on from which it can be counted.
func (p *process) load() error {
	b := p.log.Bounds()
	i := slices.IndexFunc(p.store.places, func(q core.Position) bool { return q.LSN+1 >= b.First })
	p.at = p.store.pos
	if i >= 0 {
		p.at = p.store.places[i]
	}
	p.at.Marks = slices.Clone(p.at.Marks)
	p.first, p.items, p.index = p.at.LSN+1, nil, map[version.Dot]record.LSN{}
	for e, err := range p.log.Read(context.Background(), p.first) {
		if err == nil {
			var it core.Item
			if it, err = p.at.Add(e); err == nil {
				p.keep(it)
			}
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	return nil
}

func (p *process) keep(it core.Item) {
	if !it.Dot.IsZero() {
		p.index[it.Dot] = it.Entry.LSN
	}
	p.items = append(p.items, it)
}

func (p *process) end() record.LSN { return p.log.Bounds().End }

// item returns an entry of the log.
func (p *process) item(lsn record.LSN) *core.Item { return &p.items[lsn-p.first] }

// since are the entries of the log from one on.
func (p *process) since(lsn record.LSN) []core.Item {
	if lsn > p.end() {
		return nil
	}
	return p.items[lsn-p.first:]
}

// copies puts an entry behind the log's end, if it takes it.
func (p *process) copies(e record.Entry) error {
	if err := p.log.Copy(e); err != nil {
		p.s.Say(p.n.name, "its log takes nothing: %v", err)
		p.s.Reach("a log took nothing")
		if !passing(err) {
			p.fail(err)
		}
		p.flushLater() // which looks for space
		return err
	}
	it, err := p.at.Add(e)
	if err != nil {
		p.s.Fail("PM2", "the log of %s takes what it should not: %v", p.n.name, err)
		return err
	}
	p.keep(it)
	p.flushLater()
	return nil
}

func passing(err error) bool {
	return (errors.Is(err, topology.ErrDiskFull) || errors.Is(err, topology.ErrUnavailable)) && !errors.Is(err, topology.ErrFailed)
}

// cut drops what is behind lsn, which another leader's log has not.
func (p *process) cut(lsn record.LSN) bool {
	if lsn < p.known {
		p.s.Fail("PS4", "%s is to cut its log behind %d, and knows %d to be committed", p.n.name, lsn, p.known)
		return false
	}
	p.s.Reach("an uncommitted tail was lost")
	p.s.Note(p.n.name, "cuts its log", uint64(lsn))
	b := p.log.Bounds()
	if err := p.log.Truncate(topology.Range{First: b.First, Last: lsn, History: p.log.History().Until(lsn)}); err != nil {
		if !passing(err) {
			p.fail(err)
		}
		return false
	}
	if err := p.load(); err != nil {
		p.fail(err)
		return false
	}
	return true
}

// termAt returns the term of an entry, 0 if it is not known.
func (p *process) termAt(lsn record.LSN) uint64 {
	switch {
	case lsn == 0:
		return 0
	case lsn >= p.first && lsn <= p.end():
		return p.item(lsn).Entry.Term
	}
	t, _ := p.log.History().TermAt(lsn)
	return t
}

// knows hears that the site's log is committed up to lsn.
func (p *process) knows(lsn record.LSN) {
	if lsn <= p.known || p.dead {
		return
	}
	p.known = lsn
	for p.store.pos.LSN < lsn {
		e := p.item(p.store.pos.LSN + 1).Entry
		r, err := e.Record()
		if err == nil && p.reign != nil {
			p.w.ledger.commits(p, e, &r)
		}
		if err == nil {
			err = p.store.take(e, &r)
		}
		if err != nil && p.n.site.fork != nil && errors.Is(err, conflict.ErrForked) {
			p.n.site.fork.found, p.n.site.fork.twice = true, true
			p.fail(err)
			return
		}
		if err != nil {
			p.s.Fail("PM3", "%s can not apply entry %d: %v", p.n.name, e.LSN, err)
			return
		}
		p.w.ledger.applied(p, e.LSN, &r)
	}
	p.s.Note(p.n.name, "applied", uint64(lsn))
}

// save has what is applied be on the disk, and lets go of the log what nobody needs.
func (p *process) save() {
	p.n.saved = p.store.clone()
	b, keep := p.log.Bounds(), p.w.c.log.keep
	if keep == 0 || b.End < keep {
		return
	}
	to := min(b.End-keep, p.store.pos.LSN) + 1
	if p.reign != nil {
		to = min(to, p.reign.needs(to))
	}
	if to <= b.First {
		return
	}
	if err := p.log.Truncate(topology.Range{First: to, Last: math.MaxUint64}); err != nil {
		if !passing(err) {
			p.fail(err)
		}
		return
	}
	if first := p.log.Bounds().First; first > b.First {
		p.s.Reach("a log was trimmed")
		p.forget(first)
	}
}

// forget forgets what is before the log's begin.
func (p *process) forget(first record.LSN) {
	for _, x := range []*state{p.store, p.n.saved} {
		i := slices.IndexFunc(x.places, func(q core.Position) bool { return q.LSN+1 >= first })
		if i < 0 {
			x.place()
			i = len(x.places) - 1
		}
		x.places = slices.Clone(x.places[i:])
	}
	from := p.store.places[0].LSN + 1
	if from <= p.first {
		return
	}
	for _, it := range p.items[:from-p.first] {
		delete(p.index, it.Dot)
	}
	p.items, p.first = slices.Clone(p.items[from-p.first:]), from
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

// flushed is called by the log after each flush, and once when it fails.
func (p *process) flushed(_ topology.Bounds, err error) {
	switch {
	case err != nil:
		p.fail(err)
	case p.reign != nil:
		p.reign.count()
	default:
		p.acknowledge()
	}
}

// fail ends the process: nothing more is acknowledged.
func (p *process) fail(err error) {
	if p.dead {
		return
	}
	p.dead = true
	p.s.Note(p.n.name, "fails")
	p.s.Say(p.n.name, "%v", err)
	p.n.m.After(0, p.n.m.Exit)
}

// tick lets time pass.
func (p *process) tick() {
	p.n.m.After(p.s.Lasting(p.w.c.ticks.tick/2, 2*p.w.c.ticks.tick), func() {
		if p.dead {
			return
		}
		if p.reign != nil {
			p.reign.tick()
		}
		if p.s.Chance(0.05) && !p.dead {
			p.save()
		}
		p.tick()
	})
}
