package core

import (
	"cmp"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Mark is how far one origin's records stand in a log: up to Seq, with the
// rolling sum over all of them (rule M1).
type Mark struct {
	version.Origin
	Seq   uint64
	Chain uint32
}

// Item is a record as it travels between sites: its entry, verbatim, and the
// chain of its origin up to it.
type Item struct {
	Dot   version.Dot
	Chain uint32
	Entry record.Entry // LSN and Term are those of the log it comes from
	Skip  *Skip        // what is left out of the record; nil: nothing
}

// sum is that of the record as its writer made it.
func (it *Item) sum() uint32 {
	if it.Skip != nil {
		return it.Skip.Sum
	}
	return it.Entry.Sum
}

// origin is what a core knows of one origin.
type origin struct {
	version.Origin
	placed    Mark     // in the log
	committed Mark     // in the log, and committed
	recent    []uint32 // the chains up to placed, oldest first, at most chainsKept
	queue     []queued // what waits for its turn, by sequence, no sequence twice
	parked    bool     // its head's time is too far ahead; looked at again at the next tick
	alarmed   bool     // somebody was told
	missing   int      // ticks for which a peer has had what is missing here
	due       uint64   // up to here records are asked for as soon as there is room, and not at the next tick
	last      uint64   // no more of it is taken: what counts of a life that has ended
	asking    uint64   // up to here they are asked for and have not come; 0: nothing is
}

// queued is a record that waits.
type queued struct {
	Item
	from Site
	rec  record.Record
}

// tailed is a record of the log that is not committed yet, of a note its place alone.
type tailed struct {
	lsn record.LSN
	Mark
	before Mark // of its origin

	jumps []jump // of a note that raised the log over a snapshot
	was   *notes // before a note that changes what they come to
}

// ledger is what stands in the site's log, by origin.
type ledger struct {
	own       version.Origin
	end       record.LSN
	committed record.LSN
	origins   []*origin      // by origin
	others    version.Vector // what the log holds of origins but the own: the deps of the next write
	roster    *Roster
	tail      []tailed // what is in the log and not committed, in order
}

// place puts a record behind the log's end, and returns it with its place.
func (g *ledger) place(term uint64, item Item) Item {
	g.end++
	item.Entry.LSN, item.Entry.Term = g.end, term
	if item.Dot.IsZero() {
		g.tail = append(g.tail, tailed{lsn: g.end})
		return item
	}
	o := g.origin(item.Dot.Origin)
	item.Chain = record.Chain(o.placed.Chain, item.sum())
	before := o.placed
	o.place(item.Chain)
	if o.Origin != g.own {
		g.others = g.others.With(o.Origin, o.placed.Seq)
	}
	g.tail = append(g.tail, tailed{lsn: g.end, Mark: o.placed, before: before})
	return item
}

// retract forgets what is behind lsn: the log did not take it, because its disk is
// full. Nobody has seen it. It reports whether a note was among it, and what the log came
// to of a snapshot before that, if that has changed.
func (g *ledger) retract(lsn record.LSN) (note bool, was *notes) {
	lsn = max(lsn, g.committed)
	for g.end > lsn {
		t := g.tail[len(g.tail)-1]
		g.tail, g.end = g.tail[:len(g.tail)-1], g.end-1
		if t.Origin.IsZero() {
			note = true
			if t.was != nil {
				was = t.was
			}
			for _, j := range t.jumps {
				g.back(j)
			}
			continue
		}
		o := g.origin(t.Origin)
		o.placed, o.recent = t.before, o.recent[:max(len(o.recent)-1, 0)]
		if t.Origin != g.own {
			g.others = g.others.With(t.Origin, t.before.Seq)
		}
	}
	return note, was
}

// notes are what the notes of a log come to.
type notes struct {
	in      Incoming
	roster  *Roster
	council Council
}

// back takes back a jump.
func (g *ledger) back(j jump) {
	j.o.placed, j.o.recent = j.before, nil
	if j.o.Origin != g.own {
		g.others = g.others.With(j.o.Origin, j.before.Seq)
	}
}

// commit notes that the log is committed up to lsn: what beats may show and
// links may ship from now on (M1). It reports whether that is news.
func (g *ledger) commit(lsn record.LSN) bool {
	lsn = min(lsn, g.end)
	if lsn <= g.committed {
		return false
	}
	n := int(lsn - g.committed)
	for _, t := range g.tail[:n] {
		if !t.Origin.IsZero() {
			g.origin(t.Origin).committed = t.Mark
		}
		for _, j := range t.jumps {
			j.o.committed = j.after
		}
	}
	g.tail = append(g.tail[:0], g.tail[n:]...)
	g.committed = lsn
	return true
}

// rename makes o the own origin. What the old one wrote stays, as that of others.
func (g *ledger) rename(o version.Origin) {
	if seq := g.origin(g.own).placed.Seq; seq > 0 {
		g.others = g.others.With(g.own, seq)
	}
	g.own = o
	g.origin(o)
}

// marks returns what is committed, by origin.
func (g *ledger) marks() []Mark {
	var out []Mark
	for _, o := range g.origins {
		if o.committed.Seq > 0 {
			out = append(out, o.committed)
		}
	}
	return out
}

// stand reports whether all of deps stands in the log.
func (g *ledger) stand(deps version.Vector) bool {
	for _, m := range deps {
		if i, ok := g.find(m.Origin); !ok || g.origins[i].placed.Seq < m.Seq {
			return false
		}
	}
	return true
}

// origin returns what is known of o; an origin that was never heard of is put in
// its place.
func (g *ledger) origin(o version.Origin) *origin {
	i, ok := g.find(o)
	if !ok {
		m := Mark{Origin: o}
		g.origins = slices.Insert(g.origins, i, &origin{Origin: o, placed: m, committed: m})
		g.cap(g.origins[i])
	}
	return g.origins[i]
}

// find returns where o is among the origins, or would be.
func (g *ledger) find(o version.Origin) (int, bool) {
	return slices.BinarySearchFunc(g.origins, o, func(p *origin, o version.Origin) int { return p.Compare(o) })
}

// chainAt returns the chain up to seq, if it is still remembered.
func (o *origin) chainAt(seq uint64) (uint32, bool) {
	back := o.placed.Seq - seq
	if seq == 0 || seq > o.placed.Seq || back >= uint64(len(o.recent)) {
		return 0, false
	}
	return o.recent[uint64(len(o.recent))-1-back], true
}

// agrees reports whether a mark of a peer can be of the records that stand here,
// as far as their chain is remembered.
func (o *origin) agrees(m Mark) bool {
	chain, ok := o.chainAt(m.Seq)
	return !ok || chain == m.Chain
}

// place notes that the origin's next record stands in the log.
func (o *origin) place(chain uint32) {
	o.placed.Seq, o.placed.Chain = o.placed.Seq+1, chain
	if len(o.recent) == chainsKept {
		copy(o.recent, o.recent[1:])
		o.recent = o.recent[:chainsKept-1]
	}
	o.recent = append(o.recent, chain)
	o.missing = 0
}

// enqueue puts q among those that wait, and returns the sequence of the one that
// had to be dropped, if any: with a full queue the one that would be delivered last.
func (o *origin) enqueue(q queued, most int) (dropped uint64) {
	i, ok := slices.BinarySearchFunc(o.queue, q, func(a, b queued) int { return cmp.Compare(a.Dot.Seq, b.Dot.Seq) })
	switch {
	case ok:
		return 0
	case len(o.queue) < most:
		o.queue = slices.Insert(o.queue, i, q)
		return 0
	case i == len(o.queue):
		return q.Dot.Seq
	}
	last := len(o.queue) - 1
	dropped = o.queue[last].Dot.Seq
	o.queue = slices.Insert(o.queue[:last], i, q)
	return dropped
}

// wanted returns the first sequences that are missing here, before, among or
// behind what waits, if upTo is known to exist.
func (o *origin) wanted(upTo uint64) (first, last uint64, any bool) {
	first, last = o.placed.Seq+1, upTo
	for i := range o.queue {
		if seq := o.queue[i].Dot.Seq; seq > first {
			last = min(last, seq-1)
			break
		} else if seq == first {
			first++
		}
	}
	return first, last, first <= last
}
