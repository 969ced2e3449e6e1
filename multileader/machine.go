package multileader

import (
	"errors"
	"fmt"
	"sync"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	sl "github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// machine is what the entries of a site's log come to: records of any site are merged
// into what the cells hold, by dots alone, and settled; notes say where the log stands.
// It is a function of the log, so every node of the site has the same store.
type machine struct {
	seen   *seen
	tables *tables

	place  place
	vector version.Vector // of place's marks
	over   overlay        // what was taken and is not applied
	edits  []topology.Edit
	enc    *record.Encoder
	news   bool // of tables
	cuts   cuts
	in     incomer
	seats  seats
	skips  skips

	dues     dues
	meetings meetings
	judged   []record.Cell     // where concurrent writes of those taken stand that a function settles
	examine  func(record.Cell) // hears of them once they are applied; nil: nobody does
}

var _ singleleader.Machine = (*machine)(nil)

// newMachine returns a machine, and sets what the lens goes by.
func newMachine(l *lens, r *conflict.Registry) *machine {
	m := &machine{seen: newSeen(), tables: newTables(r), over: newOverlay(l), enc: record.NewEncoder()}
	m.in.lens = l
	m.skips.by = map[record.TableID]skipped{}
	m.in.show()
	m.seats.show()
	l.resolver = func(id record.TableID) conflict.Resolver { return m.tables.shown(id).keeps }
	m.cuts.by = map[version.Origin]*core.Cut{}
	m.showCuts()
	return m
}

// Reset implements singleleader.Machine.
func (m *machine) Reset(view topology.Snapshot) error {
	p, err := readPlace(view, cellAt())
	if err != nil {
		return err
	}
	if p.LSN != view.Applied() {
		return fmt.Errorf("%w: the store shows entry %d of the site's log, and says of entry %d what it comes to", topology.ErrMalformed, view.Applied(), p.LSN)
	}
	m.place, m.vector = p, vectorOf(p.Marks)
	m.clear()
	m.dues.note(0)
	if err := m.in.load(view); err != nil {
		return err
	}
	if m.seats.assembly, err = readAssembly(view); err != nil {
		return err
	}
	m.seats.show()
	m.seen.replace(p.LSN, m.vector)
	return errors.Join(m.skips.load(view), m.tables.load(through(view, m.in.arriving, m.tables.resolver)), m.loadCuts(view), m.weighLosses(view))
}

func vectorOf(marks []core.Mark) (v version.Vector) {
	for _, m := range marks {
		v = append(v, version.Mark{Origin: m.Origin, Seq: m.Seq})
	}
	return v
}

// Take implements singleleader.Machine.
func (m *machine) Take(e record.Entry, r *record.Record) (bytes int, err error) {
	if m.in.first(m, r) {
		return 0, singleleader.ErrApplyFirst
	}
	before := len(m.edits)
	switch cut := core.CutOf(r); {
	case r.IsNote():
		err = m.note(e, r)
	case cut != nil:
		err = m.cut(r, cut)
	default:
		m.cuts.substance++
		err = m.merge(e, r)
	}
	if err != nil {
		return 0, err
	}
	it, err := m.place.AddRecord(e, r)
	if err == nil {
		err = m.skips.take(m, r, it.Skip)
	}
	if err != nil {
		return 0, err
	}
	switch {
	case !r.IsNote():
		m.vector = m.vector.With(r.Origin, r.Seq)
	case core.Raises(r):
		m.vector = vectorOf(m.place.Marks)
	}
	if e.LSN%placesEvery == 0 {
		m.put(placeCell(e.LSN), r, m.place.encode())
	}
	for i := range m.edits[before:] {
		bytes += len(m.edits[before+i].State)
	}
	return bytes, nil
}

// note takes what is nobody's write.
func (m *machine) note(e record.Entry, r *record.Record) error {
	o, ok, err := core.NotedOrigin(r)
	if err != nil {
		return err
	}
	if ok {
		m.place.own = o
	}
	p, err := core.RepairOf(r)
	if err != nil {
		return err
	}
	if p != nil {
		if err := m.repaired(e, r, p); err != nil {
			return err
		}
	}
	var arena []byte
	marked := *r
	marked.Dot = dotOf(e.LSN)
	m.edits, _ = sl.AppendEdits(m.edits, arena, m.enc, &marked)
	return errors.Join(m.seats.take(m, r), m.in.come(m, e, r))
}

// dotOf is the dot of what stands in the store of one site alone: its place in the
// site's log.
func dotOf(lsn record.LSN) version.Dot {
	return version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: uint64(lsn)}
}

// put adds a cell of one value to the edits, which is of this site alone.
func (m *machine) put(c record.Cell, r *record.Record, value []byte) {
	s := record.State{Siblings: []record.Version{{Dot: dotOf(m.place.LSN), Time: r.Time, Kind: record.KindBytes, Value: value}}}
	m.edits = append(m.edits, topology.Edit{Cell: c, State: m.enc.AppendState(nil, &s)})
}

// merge takes a record of any site (rule X, M3). One that does not fit its table
// changes nothing, in every site alike, and is listed: it is some other site's fault.
func (m *machine) merge(e record.Entry, r *record.Record) error {
	changes, err := core.Apply(r, m.tables.resolver, m.vector, &m.over)
	if errors.Is(err, record.ErrInvalid) {
		m.refuse(e, r)
		return nil
	}
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		if err := m.in.unveil(m, e, r, i, c.Cell); err != nil {
			return err
		}
		ed := topology.Edit{Cell: c.Cell.Clone()}
		if len(c.State.Siblings) > 0 {
			ed.State = m.enc.AppendState(nil, &c.State)
		}
		m.edits = append(m.edits, ed)
		m.over.set(c.Cell, c.State)
		m.expiring(r, ed.Cell, c.State.Siblings, c.Gone, c.Lost)
		m.news = m.tables.note(c.Cell, &c.State) || m.news
		m.leave(r, i, c)
		if x, met := m.met(r, c); met {
			m.list(e, r, i, x)
		}
	}
	return nil
}

// refuse lists what a record wanted and its tables cannot hold.
func (m *machine) refuse(e record.Entry, r *record.Record) {
	for i := range r.Mutations {
		x := &r.Mutations[i]
		m.list(e, r, i, &loss{
			cell: record.Cell{Table: x.Table, Key: x.Key, Field: x.Field}, by: r.Dot, kind: topology.Misfit,
			resolver: m.tables.of(x.Table).named(), lost: []record.Version{conflict.VersionOf(r, x)}, fresh: 1,
		})
	}
}

// Edits implements singleleader.Machine. Whoever reads the store from here on may see
// what they bring.
func (m *machine) Edits() []topology.Edit {
	if m.news {
		m.tables.publish()
		m.news = false
	}
	m.showCuts()
	if m.in.settles() {
		m.in.lens.on(true)
	}
	if m.skips.news {
		m.skips.show()
	}
	m.put(cellAt(), &record.Record{Time: m.place.Time}, m.place.encode())
	m.seen.shows(m.vector)
	return m.edits
}

// Applied implements singleleader.Machine.
func (m *machine) Applied() {
	if m.examine != nil {
		for _, c := range m.judged {
			m.examine(c)
		}
	}
	m.clear()
	m.in.alone = false
	m.in.lens.on(m.in.settles())
	m.in.show()
	m.seats.show()
	m.dues.applied()
	m.seen.applies(m.place.LSN, m.vector)
	if m.in.news != nil && m.in.settles() {
		m.in.news()
	}
}

func (m *machine) clear() {
	clear(m.edits)
	m.over.clear()
	m.judged = nil
	m.edits = m.edits[:0]
}

// seen is which writes a node's store shows, by origin: for sessions.
type seen struct {
	mu      sync.Mutex // a leaf
	shown   version.Vector
	applied version.Vector
	lsn     record.LSN    // of the site's log, at which that was applied
	news    chan struct{} // closed when applied changes
}

func newSeen() *seen { return &seen{news: make(chan struct{})} }

// shows notes what whoever reads from now on may see.
func (s *seen) shows(v version.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = v
}

// applies notes what whoever reads from now on does see.
func (s *seen) applies(lsn record.LSN, v version.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied, s.lsn = v, lsn
	close(s.news)
	s.news = make(chan struct{})
}

func (s *seen) replace(lsn record.LSN, v version.Vector) {
	s.shows(v)
	s.applies(lsn, v)
}

// place returns up to where the site's log is applied, and what that comes to.
func (s *seen) place() (record.LSN, version.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lsn, s.applied
}

// atMost returns what whoever has read may have seen.
func (s *seen) atMost() version.Vector {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// atLeast returns what the store shows, and what is closed once that is more.
func (s *seen) atLeast() (version.Vector, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied, s.news
}
