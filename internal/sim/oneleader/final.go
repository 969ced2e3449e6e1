package oneleader

import (
	"bytes"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// final looks at the end of it all: the committed log, replayed by itself, is
// what every store holds (PS15); every acknowledged write is in it (PS2), and no
// write that was refused (C9); and of two conditional writes on one version one
// was refused (S16).
func (l *ledger) final() {
	want := store.NewMemory()
	enc := record.NewEncoder()
	held := map[string]version.Dot{}
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
			held[string(r.Mutations[0].Key)] = r.Dot
		}
		edits, _ := core.AppendEdits(nil, nil, enc, &r)
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
		l.same(n, want)
	}
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
