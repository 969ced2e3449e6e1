package leaderless

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// deletes are where the cells stand that say absent, and those that will expire, so that
// they are found without reading all there are. In the table of Triad's own that holds
// where the log stands:
//
//	key "xd", origin's id 4, incarnation 4, seq 8, crc of the cell 4             a cell that says absent by that write
//	key "xe", expires 8, origin's id 4, incarnation 4, seq 8, crc of the cell 4  a cell that expires
//	key "xh", partition in 4 bytes                                               the latest time of a delete that was collected
//
// The value of the first two is the cell: table 4, length of the key 4, key, field. They
// belong to the loop.
type deletes struct {
	partitions int
	of         func(table record.TableID, key []byte) int // the partition of a key
	horizon    map[int]version.Timestamp
	done       map[int]version.Vector // by partition: the stable writes up to which all was looked at
	some       map[int]int            // by partition: deletes that are noted, or more
	expiring   int                    // expiries that are noted, or more
	turn       int                    // the partition that was looked at last
	swept      []byte                 // the key of "xe" that was looked at last
	ticks      int
	again      bool   // there is more to be done of a key than is done at once
	gone       uint64 // cells collected, since the start
}

const (
	keyDelete  = "xd"
	keyExpiry  = "xe"
	keyHorizon = "xh"

	collectedPerTick = 256  // deletes looked at
	hiddenPerDelete  = 1024 // cells removed at once with the delete of their key
	sweepTicks       = 5    // from one look at what can go, or is due, to the next
	sweptMax         = 256  // cells looked at then
)

func newDeletes(partitions int, of func(record.TableID, []byte) int) *deletes {
	return &deletes{partitions: partitions, of: of, horizon: map[int]version.Timestamp{}, done: map[int]version.Vector{}, some: map[int]int{}}
}

func appendDot(b []byte, d version.Dot) []byte {
	b = binary.BigEndian.AppendUint32(b, d.Origin.ID)
	b = binary.BigEndian.AppendUint32(b, d.Origin.Incarnation)
	return binary.BigEndian.AppendUint64(b, d.Seq)
}

func deleteCell(d version.Dot, name string) record.Cell {
	return originsCell(binary.BigEndian.AppendUint32(appendDot([]byte(keyDelete), d), crc32.Checksum([]byte(name), sumTable)))
}

func expiryCell(v *record.Version, name string) record.Cell {
	b := binary.BigEndian.AppendUint64([]byte(keyExpiry), uint64(v.Expires))
	return originsCell(binary.BigEndian.AppendUint32(appendDot(b, v.Dot), crc32.Checksum([]byte(name), sumTable)))
}

func horizonCell(p int) record.Cell {
	return originsCell(binary.BigEndian.AppendUint32([]byte(keyHorizon), uint32(p))) //nolint:gosec // bounded by PartitionsMax
}

// cellNamed is the cell that cellName has named; false if b is none.
func cellNamed(b []byte) (c record.Cell, ok bool) {
	if len(b) < 8 {
		return c, false
	}
	c.Table = record.TableID(binary.BigEndian.Uint32(b))
	n := binary.BigEndian.Uint32(b[4:])
	if b = b[8:]; uint64(len(b)) < uint64(n) {
		return c, false
	}
	c.Key, c.Field = b[:n:n], b[n:]
	if len(c.Field) == 0 {
		c.Field = nil
	}
	return c, true
}

// load reads up to where deletes were collected.
func (d *deletes) load(view topology.Snapshot) error {
	for p := range d.partitions {
		b, err := valueOf(view, horizonCell(p))
		if err != nil {
			return err
		}
		if len(b) == 8 {
			d.horizon[p] = version.Timestamp(binary.BigEndian.Uint64(b))
		}
	}
	// Where there is nothing nobody looks: a view of the store has its price.
	for e, err := range view.Scan(originsCell([]byte(keyDelete)), originsCell([]byte(keyHorizon))) {
		if err != nil {
			return err
		}
		if bytes.HasPrefix(e.Key, []byte(keyExpiry)) {
			d.expiring++
			continue
		}
		var s record.State
		if record.DecodeState(e.State, &s) != nil || len(s.Siblings) != 1 {
			continue
		}
		if c, ok := cellNamed(s.Siblings[0].Value); ok {
			d.some[d.of(c.Table, c.Key)]++
		}
	}
	return nil
}

// collected is the latest time of a delete in a partition that was collected.
func (d *deletes) collected(partition int) version.Timestamp { return d.horizon[partition] }

// note notes where a cell stands that is to go some day. Triad's own stay.
func (d *deletes) note(c *record.Cell, s *record.State, put func(record.Cell, []byte)) {
	if c.Table == record.TableSystem {
		return
	}
	for i := range s.Siblings {
		v := &s.Siblings[i]
		switch {
		case v.Absent:
			name := cellName(*c)
			put(deleteCell(v.Dot, name), []byte(name))
			p := d.of(c.Table, c.Key)
			d.some[p]++
			delete(d.done, p)
		case v.Expires != 0:
			name := cellName(*c)
			put(expiryCell(v, name), []byte(name))
			d.expiring++
		}
	}
}

// standing is an entry of what [deletes] keeps in the store.
type standing struct {
	at   record.Cell // where it is itself
	cell record.Cell // what it is about
}

// listed returns up to most entries from a key on, before another.
func listed(view topology.Snapshot, from, to []byte, most int) (out []standing, err error) {
	for e, err := range view.Scan(originsCell(from), originsCell(to)) {
		if err != nil {
			return nil, err
		}
		if len(out) == most {
			break
		}
		var s record.State
		if err := record.DecodeState(append([]byte(nil), e.State...), &s); err != nil || len(s.Siblings) != 1 {
			continue
		}
		c, _ := cellNamed(s.Siblings[0].Value)
		out = append(out, standing{e.Cell.Clone(), c})
	}
	return out, nil
}

// collect removes deletes that all replicas have, and can not be needed any more (L9):
// those of one partition, some at a time.
func (m *machine) collect(stable func(partition int) version.Vector) (err error) {
	d := m.deletes
	if d.ticks++; d.ticks%sweepTicks != 0 {
		return nil
	}
	for range d.partitions {
		d.turn = (d.turn + 1) % d.partitions
		upTo := stable(d.turn)
		if d.some[d.turn] > 0 && len(upTo) > 0 && !d.done[d.turn].Descends(upTo) {
			return m.collectOf(d.turn, upTo)
		}
	}
	return nil
}

func (m *machine) collectOf(partition int, stable version.Vector) (err error) {
	view, err := m.store.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	var found []standing
	for _, mark := range stable {
		from := appendDot([]byte(keyDelete), version.Dot{Origin: mark.Origin})
		to := appendDot([]byte(keyDelete), version.Dot{Origin: mark.Origin, Seq: mark.Seq + 1})
		part, err := listed(view, from, to, collectedPerTick-len(found))
		if err != nil {
			return err
		}
		found = append(found, part...)
	}
	if len(found) > 0 {
		err = m.amend(func(a *application) error {
			for _, f := range found {
				gone, err := a.forget(view, partition, f.cell, stable)
				if err != nil {
					return err
				}
				if gone {
					a.drop(f.at)
					a.deletes.some[partition]--
				}
			}
			return nil
		})
	}
	if err == nil && len(found) < collectedPerTick && !m.deletes.again {
		m.deletes.done[partition] = stable
	}
	m.deletes.again = false
	return err
}

// drop removes a cell of Triad's own.
func (a *application) drop(c record.Cell) { a.edits = append(a.edits, topology.Edit{Cell: c}) }

// forget removes what a cell says by a delete, if that is all it says and all of it is
// stable. It reports whether nothing is left to be done about it.
func (a *application) forget(view topology.Snapshot, partition int, c record.Cell, stable version.Vector) (done bool, err error) {
	if len(c.Key) == 0 || placement.Of(a.place, c.Table, c.Key) != partition {
		return true, nil
	}
	held, err := a.held(c)
	if err != nil {
		return false, err
	}
	switch core.FateOf(&held, stable) {
	case core.Settled:
		return true, nil
	case core.Stays:
		return false, nil
	}
	var latest version.Timestamp
	for _, v := range held.Siblings {
		latest = max(latest, v.Time)
	}
	if len(c.Field) == 0 {
		if all, err := a.forgetHidden(view, partition, c, &held, stable); err != nil || !all {
			return false, err
		}
	}
	a.hold(partition, c, &record.State{}, a.trees.sums.Sum(&c, held.Siblings))
	a.deletes.gone++
	if latest > a.deletes.horizon[partition] {
		a.deletes.horizon[partition] = latest
		a.local(horizonCell(partition), binary.BigEndian.AppendUint64(nil, uint64(latest)))
	}
	return true, nil
}

// forgetHidden removes what the delete of a key hides, which would show without it. It
// reports whether nothing hidden is left.
func (a *application) forgetHidden(view topology.Snapshot, partition int, c record.Cell, head *record.State, stable version.Vector) (all bool, err error) {
	n := 0
	for e, err := range view.Scan(after(c), record.AfterKey(c.Table, c.Key)) {
		if err != nil {
			return false, err
		}
		cell := e.Cell.Clone()
		s, err := a.held(cell)
		if err != nil {
			return false, err
		}
		switch core.FateUnder(&s, head, stable) {
		case core.Settled:
			continue
		case core.Stays:
			return false, nil
		}
		if n++; n > hiddenPerDelete {
			a.deletes.again = true
			return false, nil
		}
		a.hold(partition, cell, &record.State{}, a.trees.sums.Sum(&cell, s.Siblings))
	}
	return true, nil
}

// dues returns cells whose values may be due by a time, some at a time, and forgets
// entries about what is held no more.
func (m *machine) dues(by version.Timestamp) (out []core.Held, err error) {
	d := m.deletes
	if d.expiring == 0 || d.ticks%sweepTicks != 0 {
		return nil, nil
	}
	view, err := m.store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	from := d.swept
	if len(from) == 0 {
		from = []byte(keyExpiry)
	}
	found, err := listed(view, from, binary.BigEndian.AppendUint64([]byte(keyExpiry), uint64(by)+1), sweptMax)
	if err != nil || len(found) == 0 {
		d.swept = nil
		return nil, err
	}
	d.swept = append(found[len(found)-1].at.Key, 0)
	if len(found) < sweptMax {
		d.swept = nil
	}
	var over []record.Cell
	for _, f := range found {
		s, err := m.look(f.cell)
		if err != nil {
			return nil, err
		}
		still := func(v record.Version) bool {
			return !v.Absent && bytes.Equal(expiryCell(&v, cellName(f.cell)).Key, f.at.Key)
		}
		if !slices.ContainsFunc(s.Siblings, still) {
			over = append(over, f.at)
			d.expiring = max(0, d.expiring-1)
			continue
		}
		out = append(out, core.Held{Cell: f.cell.Clone(), State: s})
	}
	if len(over) > 0 {
		err = m.amend(func(a *application) error {
			for _, c := range over {
				a.drop(c)
			}
			return nil
		})
	}
	return out, err
}
