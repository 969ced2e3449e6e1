package multileader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// What can go once it is stable is listed in a table of Triad's own, so that nobody
// looks for it (rule M6): the cells in which a record left a delete, or more than one
// version.
//
//	key    id, incarnation, 4 bytes each; seq, 8; the change's number, 2
//	value  the cell: table, 4 bytes; the key's length, 4; the key; the field
//
// A site's own cut is what has them looked at, of those that are stable by then, so
// all nodes of the site let the same go at the same place of its log.
const leavingBytes = 4 + 4 + 8 + 2

// leavingsMax is how many cells one cut has looked at.
const leavingsMax = 1024

func leavingCell(o version.Origin, seq uint64, n int) record.Cell {
	k := binary.BigEndian.AppendUint32(make([]byte, 0, leavingBytes), o.ID)
	k = binary.BigEndian.AppendUint32(k, o.Incarnation)
	k = binary.BigEndian.AppendUint64(k, seq)
	return record.Cell{Table: record.TableLeavings, Key: binary.BigEndian.AppendUint16(k, uint16(n))}
}

func encodeCell(c record.Cell) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Table))
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Key)))
	return append(append(b, c.Key...), c.Field...)
}

func decodeCell(b []byte) (record.Cell, error) {
	if len(b) < 8 || int(binary.BigEndian.Uint32(b[4:])) > len(b)-8 {
		return record.Cell{}, fmt.Errorf("%w: a cell of %d bytes in a list", topology.ErrMalformed, len(b))
	}
	n := int(binary.BigEndian.Uint32(b[4:]))
	return record.Cell{Table: record.TableID(binary.BigEndian.Uint32(b)), Key: b[8 : 8+n], Field: b[8+n:]}, nil
}

// cuts is what the machine knows of every site's last cut, and what it lets go by it.
type cuts struct {
	by        map[version.Origin]*core.Cut // replaced, never changed: others hold it
	substance uint64                       // records taken that were no cuts
	shown     atomic.Pointer[cutView]
}

// cutView is what others may know of that.
type cutView struct {
	by        map[version.Origin]*core.Cut
	applied   version.Vector
	substance uint64
}

func (m *machine) showCuts() {
	m.cuts.shown.Store(&cutView{by: m.cuts.by, applied: m.vector, substance: m.cuts.substance})
}

const keyCut = "c"

func cutCell(o version.Origin) record.Cell {
	k := binary.BigEndian.AppendUint32([]byte(keyCut), o.ID)
	return record.Cell{Table: record.TableOrigins, Key: binary.BigEndian.AppendUint32(k, o.Incarnation)}
}

// loadCuts reads the last cut of every site.
func (m *machine) loadCuts(view topology.Snapshot) error {
	m.cuts.by = map[version.Origin]*core.Cut{}
	from, to := record.Cell{Table: record.TableOrigins, Key: []byte(keyCut)}, record.Cell{Table: record.TableOrigins, Key: []byte{keyCut[0] + 1}}
	for e, err := range view.Scan(from, to) {
		if err != nil {
			return err
		}
		var s record.State
		if err := record.DecodeState(e.State, &s); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		if o, c := cutIn(e.Cell, &s); c != nil {
			m.cuts.by[o] = c
		}
	}
	m.showCuts()
	return nil
}

// cut takes a record that is a site's cut. This site's own has what is stable looked at,
// in a store that shows all that was taken before.
func (m *machine) cut(r *record.Record, c *core.Cut) error {
	own := r.Origin == m.place.own
	if own && len(m.edits) > 0 {
		return singleleader.ErrApplyFirst
	}
	for i := range r.Mutations {
		if x := &r.Mutations[i]; string(x.Key) == record.MarkCut {
			m.put(cutCell(r.Origin), r, slices.Clone(x.Value))
		}
	}
	m.cuts.by = maps.Clone(m.cuts.by)
	m.cuts.by[r.Origin] = c
	if !own {
		return nil
	}
	stable, ok, _ := core.Stable(c.Members, m.cuts.by, m.vector.With(r.Origin, r.Seq))
	if m.in.settles() { // what is listed is not in its place yet
		return nil
	}
	view, err := m.over.raw().Snapshot()
	if err != nil {
		return err
	}
	if ok {
		err = m.collect(view, stable)
	}
	return errors.Join(err, m.forget(view, c), view.Close())
}

// collect lets go what is stable of cells that hold more than is shown.
func (m *machine) collect(view topology.Snapshot, stable version.Vector) error {
	n := 0
	for _, mark := range stable {
		from, to := leavingCell(mark.Origin, 0, 0), leavingCell(mark.Origin, mark.Seq+1, 0)
		for e, err := range view.Scan(from, to) {
			if err != nil {
				return err
			}
			if n++; n > leavingsMax {
				return nil
			}
			if err := m.prune(e, stable); err != nil {
				return err
			}
		}
	}
	return nil
}

// prune looks at a cell of the list, and takes it off.
func (m *machine) prune(e topology.Edit, stable version.Vector) error {
	var s record.State
	if err := record.DecodeState(e.State, &s); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	m.edits = append(m.edits, topology.Edit{Cell: e.Cell.Clone()})
	for i := range s.Siblings {
		c, err := decodeCell(slices.Clone(s.Siblings[i].Value))
		if err != nil {
			return err
		}
		held, err := m.over.Cell(c)
		if err != nil {
			return err
		}
		stays := held.Siblings
		for before := -1; before != len(stays); { // a delete stays while what lost to it is there
			before = len(stays)
			stays = conflict.Prune(m.tables.resolver(c.Table), c, stays, stable)
		}
		if len(stays) == len(held.Siblings) {
			continue
		}
		m.expiring(nil, c, stays, held.Siblings)
		held.Siblings = stays
		ed := topology.Edit{Cell: c}
		if len(stays) > 0 {
			ed.State = m.enc.AppendState(nil, &held)
		}
		m.edits = append(m.edits, ed)
		m.over.set(c, held)
	}
	return nil
}

// forget drops lists and places that are not asked for any more.
func (m *machine) forget(view topology.Snapshot, c *core.Cut) error {
	n := 0
	for e, err := range view.Scan(placeCell(0), placeCell(c.Places)) {
		if err != nil {
			return err
		}
		if n++; n > leavingsMax {
			break
		}
		m.edits = append(m.edits, topology.Edit{Cell: e.Cell.Clone()})
	}
	return m.forgetLosses(view, c.Losers)
}

// leave lists a cell in which a record left what can go once it is stable.
func (m *machine) leave(r *record.Record, n int, c *conflict.Change) {
	more := len(c.State.Siblings) > 1
	for i := range c.State.Siblings {
		more = more || c.State.Siblings[i].Absent
	}
	if !more {
		return
	}
	name := encodeCell(c.Cell)
	m.put(leavingCell(r.Origin, r.Seq, n), r, name)
	for i := range c.State.Siblings {
		v := &c.State.Siblings[i]
		lost := slices.ContainsFunc(c.Lost, func(l record.Version) bool { return l.Dot == v.Dot })
		if v.Dot != r.Dot && (v.Absent || lost) {
			m.put(leavingCell(v.Origin, v.Seq, othersChange(name)), r, name)
		}
	}
}

// othersChange is the number of an entry for what another record left than the one that
// lists it: it may be stable later, and was alone when it came.
func othersChange(name []byte) int {
	h := fnv.New32a()
	_, _ = h.Write(name) // it never fails
	return 1<<15 | int(h.Sum32()&(1<<15-1))
}

// cutter writes a site's cuts, where this node leads it. The loop owns it.
type cutter struct {
	e         *engine
	began     time.Time
	last      time.Time
	substance uint64
	told      version.Vector // by all cuts of this term
}

// cut writes what this site has for good, if there is something to tell, or something
// that others have told lets something go.
func (c *cutter) cut(now time.Time) {
	e := c.e
	if e.o.CutEvery <= 0 || now.Sub(c.last) < e.o.CutEvery || !e.reign.core.Open() {
		return
	}
	c.last = now
	v := e.machine.cuts.shown.Load()
	x := &core.Cut{Has: c.durable(), Dead: c.dead()}
	x.Members = e.reign.core.Roster().Holders(v.applied)
	by := maps.Clone(v.by)
	by[e.reign.core.Origin] = x
	stable, ok, _ := core.Stable(x.Members, by, v.applied)
	losers, some := c.losersBefore(now)
	if v.substance == c.substance && !some && !(ok && c.leavings(stable)) {
		return
	}
	c.substance = v.substance
	x.Losers, x.Places = losers, c.placesBefore()
	c.told = c.told.Join(x.Has)
	e.step(core.Event{Kind: core.EvCut, Cut: x})
}

// durable returns what every node has durably that may lead the site.
func (c *cutter) durable() version.Vector {
	lsn, applied := c.e.machine.seen.place()
	least := lsn
	for _, p := range c.e.group.Status().Peers {
		if !slices.Contains(c.e.o.Group.ReadReplicas, p.Node) {
			least = min(least, p.Flushed)
		}
	}
	if least >= lsn {
		return applied
	}
	p, err := before(c.e.env.Store, least, func(*place) bool { return true })
	if err != nil {
		return nil
	}
	return vectorOf(p.Marks)
}

// dead returns the earlier lives of this site: none, where the group waits for nobody,
// and whoever led it before may still be writing.
func (c *cutter) dead() (lives []version.Origin) {
	if c.e.o.Group.Sync.Kind == quorum.KindAsync {
		view, _ := c.e.env.Membership.View()
		if len(view.Members) > 1 {
			return nil
		}
	}
	own := c.e.reign.core.Origin
	_, applied := c.e.machine.seen.place()
	for _, m := range applied {
		if m.Origin.ID == own.ID && m.Origin != own {
			lives = append(lives, m.Origin)
		}
	}
	return lives
}

// leavings reports whether something is listed that is stable.
func (c *cutter) leavings(stable version.Vector) (some bool) {
	view, err := c.e.env.Store.Snapshot()
	if err != nil {
		return false
	}
	for _, m := range stable {
		for range view.Scan(leavingCell(m.Origin, 0, 0), leavingCell(m.Origin, m.Seq+1, 0)) {
			some = true
			break
		}
	}
	return view.Close() == nil && some
}

// placesBefore returns up to where nobody needs places: but the newest before where
// the log begins.
func (c *cutter) placesBefore() record.LSN {
	first := c.e.env.Log.Bounds().First
	return first - min(first, 2*placesEvery)
}

// said returns when a site last said what it has for good; zero for never.
func (v *cutView) said(number uint32) (at time.Time) {
	for o, c := range v.by {
		if o.ID == number && c.Time.Time().After(at) {
			at = c.Time.Time()
		}
	}
	return at
}

// patience is how many rounds of cuts are waited for before it is said that nothing is
// forgotten.
const patience = 3

// held says why nothing can be forgotten, once that has lasted; empty while something
// can. It is a name of a site where the core has a number.
func (c *cutter) held(applied version.Vector) string {
	e := c.e
	if e.o.CutEvery < 0 {
		return "sites are configured not to say what they have"
	}
	now := e.env.Clock.Wall()
	if c.began.IsZero() {
		c.began = now
	}
	if now.Sub(c.began) < patience*e.o.CutEvery {
		return ""
	}
	_, ok, why := core.Stable(e.reign.core.Roster().Holders(applied), e.machine.cuts.shown.Load().by, applied)
	if ok {
		return ""
	}
	return why
}
