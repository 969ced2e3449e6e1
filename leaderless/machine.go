package leaderless

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// machine is what a node's log comes to: records and notes are merged into what the
// cells hold, and beside the cells stands which writes they come from. It belongs to
// the loop, but for what says otherwise.
type machine struct {
	store  topology.Store
	log    topology.GroupLog
	place  *places
	tables *tables
	enc    *record.Encoder

	at      core.Position
	tail    []record.Entry // in the log and not applied
	trees   *trees
	deletes *deletes // that are kept
	lost    uint64   // versions that lost to others, since the start

	mu   sync.Mutex    // a leaf; for others than the loop
	news chan struct{} // closed at the next change of the store
}

func newMachine(s topology.Store, l topology.GroupLog, place *places) (*machine, error) {
	m := &machine{store: s, log: l, place: place, tables: newTables(), enc: record.NewEncoder(), news: make(chan struct{}), trees: newTrees(place.Partitions())}
	m.deletes = newDeletes(place.Partitions(), func(t record.TableID, key []byte) int { return placement.Of(place, t, key) })
	view, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	err = errors.Join(m.load(view), m.tables.load(view), m.trees.load(view, view.Applied()), m.deletes.load(view))
	return m, errors.Join(err, view.Close())
}

// A node's store says in a table of Triad's own what its log comes to:
//
//	key "at"                                  up to where it is applied
//	key "p", partition in 4 bytes             which writes to it are: a state of no sibling, whose context they are
//	key "d", origin's id 4, incarnation 4, seq 8  where in the log that write stands
//
// Besides, there are [trees] and [deletes].
//
// The value of the first is an array of three: format, 1; LSN; the highest time. That
// of the last is the LSN in 8 bytes.
const (
	atFormat     = 1
	keyAt        = "at"
	keyPartition = "p"
	keyDot       = "d"
)

func originsCell(key []byte) record.Cell { return record.Cell{Table: record.TableOrigins, Key: key} }

func partitionCell(p int) record.Cell {
	return originsCell(binary.BigEndian.AppendUint32([]byte(keyPartition), uint32(p)))
}

func dotCell(d version.Dot) record.Cell {
	k := binary.BigEndian.AppendUint32([]byte(keyDot), d.Origin.ID)
	k = binary.BigEndian.AppendUint32(k, d.Origin.Incarnation)
	return originsCell(binary.BigEndian.AppendUint64(k, d.Seq))
}

// load reads what the store says of itself.
func (m *machine) load(view topology.Snapshot) error {
	b, err := view.Get(originsCell([]byte(keyAt)))
	if err != nil {
		return err
	}
	if b == nil {
		if view.Applied() != 0 {
			return fmt.Errorf("%w: the store shows entry %d of a log, and does not say what it comes to", topology.ErrMalformed, view.Applied())
		}
		return nil
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil || len(s.Siblings) != 1 {
		return fmt.Errorf("%w: where the store stands: %w", topology.ErrMalformed, err)
	}
	r := pack.NewReader(s.Siblings[0].Value)
	r.ArrayOf(3)
	if f := r.Uint(); r.Err() == nil && f != atFormat {
		return fmt.Errorf("where the store stands has format %d, this version knows %d: %w", f, atFormat, topology.ErrUnsupported)
	}
	m.at.LSN, m.at.Time = record.LSN(r.Uint()), version.Timestamp(r.Uint())
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: where the store stands: %w", topology.ErrMalformed, err)
	}
	if m.at.LSN != view.Applied() {
		return fmt.Errorf("%w: the store shows entry %d, and says of entry %d what it comes to", topology.ErrMalformed, view.Applied(), m.at.LSN)
	}
	for ed, err := range view.Scan(partitionCell(0), originsCell([]byte(keyPartition+"\xff\xff\xff\xff\xff"))) {
		if err != nil {
			return err
		}
		var s record.State
		if err := record.DecodeState(ed.State, &s); err != nil || len(ed.Key) != 5 || s.Context == nil {
			return fmt.Errorf("%w: the writes applied to a partition: %w", topology.ErrMalformed, err)
		}
		*m.at.At(int(binary.BigEndian.Uint32(ed.Key[1:]))) = *s.Context.Clone()
	}
	return nil
}

// recover applies what the log holds and the store does not.
func (m *machine) recover(ctx context.Context) error {
	b := m.log.Bounds()
	switch {
	case b.End < m.at.LSN:
		return fmt.Errorf("%w: the log ends at %d, and the store has applied %d: the log was set back; move the directory away, and let this node be filled by the others", topology.ErrFailed, b.End, m.at.LSN)
	case b.First > m.at.LSN+1:
		return fmt.Errorf("%w: the log begins at %d, and the store has applied %d", topology.ErrFailed, b.First, m.at.LSN)
	}
	if err := m.log.Flushed(ctx, b.End); err != nil {
		return err
	}
	for e, err := range m.log.Read(ctx, m.at.LSN+1) {
		if err != nil {
			return err
		}
		m.tail = append(m.tail, e)
		if len(m.tail) == recoverMax {
			if err := m.apply(e.LSN); err != nil {
				return err
			}
		}
	}
	return m.apply(b.End)
}

// recoverMax is how many entries are applied at once at a start.
const recoverMax = 1024

// position is where the log stands, for the core; it shares nothing.
func (m *machine) position() core.Position {
	p := core.Position{LSN: m.at.LSN, Time: m.at.Time}
	for _, a := range m.at.Applied {
		*p.At(a.Partition) = *a.Set.Clone()
	}
	return p
}

// placed notes what was appended.
func (m *machine) placed(es []record.Entry) { m.tail = append(m.tail, es...) }

// apply makes visible what the log has up to lsn, with what it comes to, in one step
// (C6). It forgets where gone stand.
func (m *machine) apply(lsn record.LSN, gone ...version.Dot) error {
	a := application{machine: m, over: map[string]record.State{}, touched: map[int]bool{}}
	n := 0
	for n < len(m.tail) && m.tail[n].LSN <= lsn {
		if err := a.entry(&m.tail[n]); err != nil {
			return fmt.Errorf("entry %d of the log: %w", m.tail[n].LSN, err)
		}
		n++
	}
	if n == 0 {
		return nil
	}
	m.tail = append(m.tail[:0], m.tail[n:]...)
	for _, d := range gone {
		a.edits = append(a.edits, topology.Edit{Cell: dotCell(d)})
	}
	edits := a.finish()
	if a.defines {
		m.tables.publish() // first: who sees a cell of a table knows what the table is
	}
	if err := m.store.Apply(m.at.LSN, edits); err != nil {
		return err
	}
	m.mu.Lock()
	close(m.news)
	m.news = make(chan struct{})
	m.mu.Unlock()
	return nil
}

// changed returns what is closed at the next change of the store. It may be called by
// anybody.
func (m *machine) changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.news
}

// application is a group of entries as it is applied.
type application struct {
	*machine
	over    map[string]record.State
	touched map[int]bool
	edits   []topology.Edit
	defines bool
}

func cellName(c record.Cell) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(c.Table))
	b = binary.BigEndian.AppendUint32(b, uint32(len(c.Key)))
	return string(append(append(b, c.Key...), c.Field...))
}

func (a *application) held(c record.Cell) (record.State, error) {
	if s, ok := a.over[cellName(c)]; ok {
		return s, nil
	}
	return a.look(c)
}

func (a *application) entry(e *record.Entry) error {
	r, err := e.Record()
	if err != nil {
		return err
	}
	partition, learnt, err := core.Learnt(&r)
	if err != nil {
		return err
	}
	mending, err := core.MendingOf(&r)
	switch {
	case err != nil:
		return err
	case mending != nil:
		if partition, err = a.mend(mending); err != nil {
			return err
		}
	case learnt == nil:
		partition = placement.Of(a.place, r.Mutations[0].Table, r.Mutations[0].Key)
		w := watched{application: a}
		changes, err := core.ApplyTo(&r, a.at.At(partition), w.held, a.tables.keeps)
		if err != nil {
			return err
		}
		for i := range changes {
			c := &changes[i]
			a.lost += uint64(len(c.Lost))
			a.hold(partition, c.Cell, &c.State, w.was[i])
		}
		if !r.IsNote() {
			a.index(r.Dot, e.LSN)
		}
	}
	a.touched[partition] = true
	return a.at.Add(*e, a.place.Current())
}

// index notes where a write stands in the log.
func (a *application) index(d version.Dot, lsn record.LSN) {
	a.local(dotCell(d), binary.BigEndian.AppendUint64(nil, uint64(lsn)))
}

func (a *application) local(c record.Cell, value []byte) {
	s := record.State{Siblings: []record.Version{{
		Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}, Kind: record.KindBytes, Value: value,
	}}}
	a.edits = append(a.edits, topology.Edit{Cell: c, State: a.enc.AppendState(nil, &s)})
}

func (a *application) finish() []topology.Edit {
	touched := make([]int, 0, len(a.touched))
	for p := range a.touched {
		touched = append(touched, p)
	}
	slices.Sort(touched)
	for _, p := range touched {
		s := record.State{Context: a.at.At(p)}
		a.edits = append(a.edits, topology.Edit{Cell: partitionCell(p), State: a.enc.AppendState(nil, &s)})
	}
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(atFormat)
	w.Uint(uint64(a.at.LSN))
	w.Uint(uint64(a.at.Time))
	a.local(originsCell([]byte(keyAt)), w.Bytes())
	a.trees.finish(a.at.LSN, a.local, a.drop)
	return a.edits
}

// look reads what is applied of a cell. It may be called by anybody; the state is the
// caller's.
func (m *machine) look(c record.Cell) (s record.State, err error) {
	b, err := m.store.Get(c)
	if err == nil && b != nil {
		err = record.DecodeState(b, &s)
	}
	return s, err
}

// cells reads what is applied of a range of a key, and of the cell without a field. It may
// be called by anybody.
func (m *machine) cells(r *topology.CellRange) (out []core.Held, err error) {
	take := func(c record.Cell) error {
		s, err := m.look(c)
		if err == nil && (len(s.Siblings) > 0 || s.Context != nil) {
			out = append(out, core.Held{Cell: c, State: s})
		}
		return err
	}
	if !r.Whole {
		if err := take(record.Cell{Table: r.Table, Key: r.Key}); err != nil || len(r.Field) == 0 {
			return out, err
		}
		return out, take(r.Cell)
	}
	view, err := m.store.Snapshot()
	if err != nil {
		return nil, err
	}
	for ed, serr := range view.Scan(record.Cell{Table: r.Table, Key: r.Key}, record.AfterKey(r.Table, r.Key)) {
		h := core.Held{}
		if serr == nil && len(out) >= core.CellsMax {
			serr = fmt.Errorf("%w: key %q has more than %d cells", topology.ErrTooLarge, r.Key, core.CellsMax)
		}
		if serr == nil {
			h.Cell = ed.Cell.Clone()
			serr = record.DecodeState(append([]byte(nil), ed.State...), &h.State)
		}
		if err = serr; err != nil {
			break
		}
		out = append(out, h)
	}
	return out, errors.Join(err, view.Close())
}

// records returns up to most of the writes that have those dots and stand in the log.
func (m *machine) records(dots []version.Dot, most int) (es []record.Entry, err error) {
	for _, d := range dots {
		s, err := m.look(dotCell(d))
		if err != nil {
			return nil, err
		}
		if len(s.Siblings) != 1 || len(s.Siblings[0].Value) != 8 {
			continue // learnt with the state of its key
		}
		lsn := record.LSN(binary.BigEndian.Uint64(s.Siblings[0].Value))
		for e, err := range m.log.Read(context.Background(), lsn) {
			if errors.Is(err, topology.ErrCompacted) {
				break
			}
			if err != nil {
				return nil, err
			}
			es = append(es, e)
			break
		}
		if len(es) >= most {
			break
		}
	}
	return es, nil
}
