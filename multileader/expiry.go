package multileader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	sl "github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// When a key expires is a part of its versions, and the same in every site. That it has
// is a removal in the log, which a site's leader writes: the one whose site has written
// the key last as soon as it is due, another that is asked for it, and any once that has
// not come for Options.ExpiryGrace. Nobody's clock hides anything but for a reader at a leader.
//
// A removal takes what its writer had seen and nothing else. Where writes come together
// in a cell, and in the parts of a key, that is what a delete does. Where one of them
// wins, a delete of the present time would win over a write that it has not seen; so a
// removal has the rank of what has expired, and what would have lost to that loses to it.

const (
	expiryKeysMax   = 256  // that one record removes
	expiryLooksMax  = 4096 // entries of the list that one round looks at
	nothingExpires  = version.Timestamp(math.MaxUint64)
	expiryLookAgain = time.Second // where a round could not do what it should
)

// dues is when the next of what the store lists is due. The list is that of a single
// group, see singleleader/core: an entry for each expiry of a version that a cell holds.
type dues struct {
	taken version.Timestamp // the earliest among what was taken and is not applied; the machine's. 0: none

	mu   sync.Mutex // a leaf
	next version.Timestamp
}

// note hears of an expiry that the store lists.
func (d *dues) note(at version.Timestamp) {
	d.mu.Lock()
	d.next = min(d.next, at)
	d.mu.Unlock()
}

// applied notes what the store shows from now on.
func (d *dues) applied() {
	if d.taken != 0 {
		d.note(d.taken)
		d.taken = 0
	}
}

// take reports whether something may be due, and then forgets when: who asks looks.
func (d *dues) take(now version.Timestamp) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next > now {
		return false
	}
	d.next = nothingExpires
	return true
}

// expiring keeps the list true to a cell that has changed: it holds stays now, and left
// before besides. The cell is the list's to keep. A nil r writes nothing new.
func (m *machine) expiring(r *record.Record, c record.Cell, stays []record.Version, left ...[]record.Version) {
	if len(c.Field) > 0 || !inCommon(c) {
		return
	}
	held := func(at version.Timestamp) bool {
		for i := range stays {
			if expires(&stays[i]) && stays[i].Expires == at {
				return true
			}
		}
		return false
	}
	for _, vs := range left {
		for i := range vs {
			if v := &vs[i]; expires(v) && !held(v.Expires) {
				m.edits = append(m.edits, topology.Edit{Cell: sl.ExpiryCell(v.Expires, c.Table, c.Key)})
			}
		}
	}
	for i := range stays {
		v := &stays[i]
		if r == nil || !expires(v) {
			continue
		}
		m.put(sl.ExpiryCell(v.Expires, c.Table, c.Key), r, nil)
		if m.dues.taken == 0 || v.Expires < m.dues.taken {
			m.dues.taken = v.Expires
		}
	}
}

func expires(v *record.Version) bool { return v.Expires != 0 && !v.Absent }

// expiryOf is when what is shown of a cell expires, 0 for never, and its latest version:
// of concurrent values that are all shown, the last that goes.
func expiryOf(s *conflict.Settled) (at version.Timestamp, last conflict.Value) {
	some := false
	for _, v := range s.Shown {
		if v.Absent {
			continue
		}
		if !some || v.Time > last.Time {
			last = v
		}
		if v.Expires == 0 || some && at == 0 {
			at, some = 0, true
			continue
		}
		at, some = max(at, v.Expires), true
	}
	return at, last
}

// removal is the mutation that removes a key, if that is due at now by what this site's
// log comes to. own says whether this site has written it last.
func (wr *writer) removal(table record.TableID, key []byte, now version.Timestamp) (m record.Mutation, due, own bool, err error) {
	t := wr.e.reign.tail
	of, c := t.tables.of(table), record.Cell{Table: table, Key: key}
	st, err := t.over.Cell(c)
	if err != nil || !slices.ContainsFunc(st.Siblings, func(v record.Version) bool { return expires(&v) }) {
		return m, false, false, err
	}
	settled, err := wr.e.judge.decide(&t.tables.tableSet, of, c, st.Siblings)
	if err != nil {
		return m, false, false, err
	}
	at, last := expiryOf(&settled)
	if at == 0 || at > now {
		return m, false, false, nil
	}
	m = record.Mutation{Table: table, Key: key, Op: record.OpDelete, Kind: last.Kind}
	if !kind.Parted(of.kind) && !kind.Joined(of.kind) {
		m.Expires = last.Time + 1 // its rank, see conflict.VersionOf
	}
	return m, true, newestOf(st.Siblings, last.From).Origin.ID == wr.e.reign.core.Origin.ID, nil
}

// retire places the removal of what is due among what a decision looks at, before it is
// made. The tail has to reach to the log's end.
func (wr *writer) retire(reads []topology.CellRange) error {
	now := clockOf(wr.e)
	var ms []record.Mutation
	seen := map[string]struct{}{}
	for i := range reads {
		r := &reads[i]
		k := keyOf(r.Table, r.Key)
		if _, again := seen[k]; again || !inCommon(r.Cell) || notHeld(wr.e, r.Table) != nil {
			continue
		}
		seen[k] = struct{}{}
		m, due, _, err := wr.removal(r.Table, r.Key, now)
		if err != nil {
			return err
		}
		if due {
			ms = append(ms, m)
		}
	}
	return wr.place(ms)
}

// place puts mutations of this site's own in its log, in as many records as it takes.
func (wr *writer) place(ms []record.Mutation) error {
	e := wr.e
	for len(ms) > 0 {
		n := min(len(ms), expiryKeysMax)
		some := ms[:n:n]
		ms = ms[n:]
		if err := e.reign.tail.seal(some, e.reign.core.Next()); err != nil {
			return err
		}
		w := &write{batch: record.Batch{Mutations: some}, done: make(chan struct{})}
		ev := core.Event{Kind: core.EvWrite, Now: e.env.Clock.Wall(), Writes: []record.Batch{w.batch}, Own: true}
		e.perform(e.reign.core.Step(ev), []*write{w})
		if w.answered() && w.err != nil {
			return w.err
		}
	}
	return nil
}

// sweeper removes what is due, where this node leads its site. The loop owns it.
type sweeper struct {
	e      *engine
	cursor record.Cell // where a round that looked at much goes on; no key: at the beginning
}

// sweep removes some of what is due.
func (s *sweeper) sweep() {
	e := s.e
	now := clockOf(e)
	if !e.reign.core.Open() || e.group.Frozen() || len(s.cursor.Key) == 0 && !e.machine.dues.take(now) {
		return
	}
	err := s.round(now)
	if lsn, ferr := e.flush(); ferr != nil && e.reign.core != nil {
		e.step(core.Event{Kind: core.EvNotAppended, LSN: lsn})
		err = ferr
	}
	if err != nil {
		s.cursor = record.Cell{}
		e.machine.dues.note(version.TimestampAt(now.Time().Add(expiryLookAgain)))
		if !errors.Is(err, errSettles) && !errors.Is(err, topology.ErrNotLeader) {
			e.log.Warn("expired keys were not removed", "err", err)
		}
	}
}

func (s *sweeper) round(now version.Timestamp) error {
	e := s.e
	entries, err := s.look(now)
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := e.reign.tail.use(); err != nil {
		return err
	}
	var ms []record.Mutation
	for i, c := range entries {
		table := record.TableID(binary.BigEndian.Uint32(c.Key[8:]))
		if notHeld(e, table) != nil {
			continue // it held the table once
		}
		m, due, own, err := e.writer.removal(table, c.Field, now)
		patience := version.TimestampAt(expiryAt(c).Time().Add(e.o.ExpiryGrace))
		switch {
		case err != nil: // its function is not known here, or is slow
			e.machine.dues.note(version.TimestampAt(now.Time().Add(e.o.ExpiryGrace)))
			continue
		case !due:
			continue
		case !own && patience > now:
			e.machine.dues.note(patience)
			continue
		}
		if ms = append(ms, m); len(ms) == expiryKeysMax && i < len(entries)-1 {
			s.cursor = entries[i+1]
			break
		}
	}
	return e.writer.place(ms)
}

func expiryAt(c record.Cell) version.Timestamp {
	return version.Timestamp(binary.BigEndian.Uint64(c.Key))
}

// look returns the next entries that are due, and notes when the first one is that is
// not.
func (s *sweeper) look(now version.Timestamp) (due []record.Cell, err error) {
	view, err := s.e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	from := s.cursor
	from.Table, s.cursor = record.TableExpiry, record.Cell{}
	for ed, serr := range view.Scan(from, record.Cell{Table: record.TableExpiry + 1}) {
		if serr == nil && len(ed.Cell.Key) != sl.ExpiryKeyBytes {
			serr = fmt.Errorf("%w: an entry of %d bytes in the table of expiries", topology.ErrMalformed, len(ed.Cell.Key))
		}
		if serr != nil {
			err = serr
			break
		}
		if at := expiryAt(ed.Cell); at > now {
			s.e.machine.dues.note(at)
			break
		}
		if len(due) == expiryLooksMax {
			s.cursor = ed.Cell.Clone()
			break
		}
		due = append(due, ed.Cell.Clone())
	}
	return due, errors.Join(err, view.Close())
}

// unexpired has a key that is due removed before a reader at the leader is answered, and
// reads it again. A reader elsewhere, or who asks for less than what the site has
// acknowledged, is shown it until that removal has come.
func (l *look) unexpired(ctx context.Context, table record.TableID, key []byte, r *topology.Reading, o *topology.ReadOptions) (err error) {
	c := record.Cell{Table: table, Key: key}
	head := r.Cells
	switch {
	case len(head) == 0 || !inCommon(c):
		return nil
	case !o.Whole && kind.Parted(l.of.kind) && (len(o.Field) > 0 || o.Parts):
		if head, err = l.cell(c); err != nil {
			return err
		}
	}
	if !dueNow(head, clockOf(l.rd.e)) {
		return nil
	}
	us := []topology.Update{{
		Reads:  []topology.CellRange{{Cell: c}},
		Decide: func(topology.Sight) ([]record.Mutation, error) { return nil, nil },
	}}
	l.rd.e.Update(ctx, us, topology.WriteOptions{}) // which returns once this node shows the removal
	if err := us[0].Err; err != nil {
		return err
	}
	r.Cells, err = l.cells(table, key, o)
	return err
}

// hides reports whether a reader is shown nothing that is due by this node's clock: at
// the leader, whoever asks for all that the site has acknowledged.
func (rd *reader) hides(r *topology.Reading) bool {
	fresh := r.Guarantee == topology.ReadLinearizable || r.Guarantee == topology.ReadLeased
	return fresh && rd.e.leading.Load() != 0
}

// clockOf is the time of day: what is ahead of it here by others' clocks is not due for that.
func clockOf(e *engine) version.Timestamp { return version.TimestampAt(e.env.Clock.Wall()) }

// dueNow reports whether what is shown of the cell without a field has expired: of
// several values, all of them.
func dueNow(cells []topology.CellReading, now version.Timestamp) (due bool) {
	for i := range cells {
		c := &cells[i]
		switch {
		case len(c.Field) > 0:
			return due
		case c.Absent:
		case c.Expires == 0 || c.Expires > now:
			return false
		default:
			due = true
		}
	}
	return due
}
