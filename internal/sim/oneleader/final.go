package oneleader

import (
	"bytes"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// final looks at the end of it all: the committed log, replayed by itself, is
// what every store holds (PS15); every acknowledged write is in it (PS2), and no
// write that was refused (C9), and every condition held where its write stands
// (S16).
func (l *ledger) final() {
	started := map[uint64]bool{}
	for _, term := range l.log {
		started[term] = true
	}
	for term := uint64(1); term <= l.log[len(l.log)-1]; term++ {
		if _, ok := l.leaders[term]; ok && !started[term] {
			l.s.Reach("a term was started and never committed")
		}
	}
	want := store.NewMemory()
	held := map[string]*record.Version{}
	named := map[record.RequestID]record.LSN{}
	requests := core.NewRequests()
	enc := record.NewEncoder()
	for lsn := record.LSN(1); lsn < record.LSN(len(l.log)); lsn++ {
		e, ok := l.at(lsn)
		var r record.Record
		if !ok || record.Decode(e.bytes, &r) != nil {
			l.s.Fail("PS4", "entry %d was committed and never appended", lsn)
			return
		}
		if v := valueOf(&r); v != "" {
			if l.refuses[v] {
				l.s.Fail("C9", "entry %d holds %q, which was answered NotApplied", lsn, v)
			}
		}
		for _, c := range l.asked[ending{l.log[lsn], lsn}] {
			if err := core.Satisfied(&c, held[string(c.Key)]); err != nil {
				l.s.Fail("S16", "entry %d was accepted under a condition that did not hold: %v", lsn, err)
			}
		}
		for i := range r.Mutations {
			l.changes[string(r.Mutations[i].Key)] = append(l.changes[string(r.Mutations[i].Key)], change{lsn, r.Dot})
			held[string(r.Mutations[i].Key)] = &record.Version{Dot: r.Dot}
		}
		if first, again := named[r.Request]; again && !r.Request.IsZero() {
			l.s.Fail("PS8", "entry %d is request %d of client %d, which entry %d is already", lsn, r.Request.Seq, r.Request.Client, first)
		}
		named[r.Request] = lsn
		edits, arena := core.AppendEdits(nil, nil, enc, &r)
		edits, _ = requests.Add(edits, arena, enc, &r)
		if err := want.Apply(lsn, edits); err != nil {
			l.s.Fail("floor", "%v", err)
			return
		}
	}
	for _, w := range l.acked {
		e := ending{w.term, w.lsn}
		if l.lost[e] {
			continue
		}
		if w.lsn >= record.LSN(len(l.log)) || l.log[w.lsn] != w.term {
			l.s.Fail("PS2", "the write at entry %d of term %d was acknowledged and is gone", w.lsn, w.term)
			return
		}
	}
	for _, n := range l.w.nodes {
		if l.w.isMember(n) {
			l.same(n, want)
		}
	}
	if l.w.c.lag > 0 {
		lossy{l}.kept()
	}
	l.judge()
}

// judge gives what the clients were told to the checkers (PS1, C9). They do not
// search for an order of it (PS5): the log is one, and what was answered was held
// against it ([ledger.answered]), refusals here.
func (l *ledger) judge() {
	rules := check.Rules{Lossy: mayLose(l)}
	c, err := check.New(rules, l.w.told.Ops())
	if err != nil {
		l.s.Fail("floor", "what clients were told is no history: %v", err)
		return
	}
	if err := c.Places().And(c.Nowhere()).Err(); err != nil {
		l.s.Fail("PS1", "%v", err)
	}
	for i := range l.refusals {
		if o := &l.refusals[i]; !rules.Lossy && !l.differed(o) {
			l.s.Fail("PS5", "operation %d on %s was refused, which held %v all the while, from entry %d to %d", o.number, o.key, o.expect, o.floor, o.until)
		}
	}
}

// differed reports whether a key held something else than a refused operation
// expected, at some time while it was under way.
func (l *ledger) differed(o *refusal) bool {
	var at version.Dot
	for _, c := range l.changes[o.key] {
		if c.lsn > o.floor && at != o.expect {
			return true
		}
		if c.lsn > o.until {
			return false
		}
		at = c.dot
	}
	return at != o.expect
}

// same holds a node's store to what it must be, byte by byte.
func (l *ledger) same(n *node, want *store.Memory) {
	a, b := cells(n.p.store), cells(want)
	if n.p.store.Applied() != want.Applied() {
		l.s.Fail("PS15", "%s shows %d, committed is %d", n.id, n.p.store.Applied(), want.Applied())
		return
	}
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a) || i >= len(b):
			l.s.Fail("PS15", "%s holds %d cells, %d expected", n.id, len(a), len(b))
			return
		case !bytes.Equal(a[i].Key, b[i].Key) || !bytes.Equal(a[i].Field, b[i].Field) || !bytes.Equal(a[i].State, b[i].State):
			l.s.Fail("PS15", "%s holds %q: %x, expected is %q: %x", n.id, a[i].Key, a[i].State, b[i].Key, b[i].State)
			return
		}
	}
}

func cells(m *store.Memory) (out []topology.Edit) {
	snap, err := m.Snapshot()
	if err != nil {
		return nil
	}
	for e, err := range snap.Scan(record.Cell{}, record.Cell{Table: ^record.TableID(0)}) {
		if err != nil {
			return nil
		}
		out = append(out, e)
	}
	return out
}
