package multileader

import (
	"fmt"
	"slices"
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
	store topology.Store
	seen  *seen

	place  place
	vector version.Vector // of place's marks
	held   map[string]record.State
	edits  []topology.Edit
	enc    *record.Encoder
}

var _ singleleader.Machine = (*machine)(nil)

func newMachine(store topology.Store) *machine {
	return &machine{store: store, seen: newSeen(), held: map[string]record.State{}, enc: record.NewEncoder()}
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
	m.seen.replace(m.vector)
	return nil
}

func vectorOf(marks []core.Mark) (v version.Vector) {
	for _, m := range marks {
		v = append(v, version.Mark{Origin: m.Origin, Seq: m.Seq})
	}
	return v
}

// Take implements singleleader.Machine.
func (m *machine) Take(e record.Entry, r *record.Record) (bytes int, err error) {
	before := len(m.edits)
	if r.IsNote() {
		err = m.note(e, r)
	} else {
		err = m.merge(e, r)
	}
	if err != nil {
		return 0, err
	}
	if _, err := m.place.AddRecord(e, r); err != nil {
		return 0, err
	}
	if !r.IsNote() {
		m.vector = m.vector.With(r.Origin, r.Seq)
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
	var arena []byte
	marked := *r
	marked.Dot = dotOf(e.LSN)
	m.edits, _ = sl.AppendEdits(m.edits, arena, m.enc, &marked)
	return nil
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

// merge takes a record of any site (rule X, M3).
func (m *machine) merge(e record.Entry, r *record.Record) error {
	changes, err := core.Apply(r, m.vector, m.get)
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		m.edits = append(m.edits, topology.Edit{Cell: c.Cell, State: m.enc.AppendState(nil, &c.State)})
		m.held[cellKey(c.Cell)] = keep(c.State)
		if len(c.Lost) > 0 && c.Cell.Table != record.TableSystem {
			m.lose(e, r, i, c)
		}
	}
	return nil
}

// keep returns a state that outlives the entry it came with.
func keep(s record.State) record.State {
	s.Siblings = slices.Clone(s.Siblings)
	for i := range s.Siblings {
		s.Siblings[i].Value = slices.Clone(s.Siblings[i].Value)
	}
	return s
}

func cellKey(c record.Cell) string {
	return fmt.Sprintf("%d/%d/%s%s", c.Table, len(c.Key), c.Key, c.Field)
}

// get reads what a cell holds once the edits so far are applied.
func (m *machine) get(c record.Cell) (record.State, error) {
	if s, ok := m.held[cellKey(c)]; ok {
		return s, nil
	}
	var s record.State
	b, err := m.store.Get(c)
	if err == nil && b != nil {
		err = record.DecodeState(b, &s)
	}
	return s, err
}

// Edits implements singleleader.Machine. Whoever reads the store from here on may see
// what they bring.
func (m *machine) Edits() []topology.Edit {
	m.put(cellAt(), &record.Record{Time: m.place.Time}, m.place.encode())
	m.seen.shows(m.vector)
	return m.edits
}

// Applied implements singleleader.Machine.
func (m *machine) Applied() {
	m.clear()
	m.seen.applies(m.vector)
}

func (m *machine) clear() {
	clear(m.edits)
	clear(m.held)
	m.edits = m.edits[:0]
}

// seen is which writes a node's store shows, by origin: for sessions.
type seen struct {
	mu      sync.Mutex // a leaf
	shown   version.Vector
	applied version.Vector
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
func (s *seen) applies(v version.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = v
	close(s.news)
	s.news = make(chan struct{})
}

func (s *seen) replace(v version.Vector) {
	s.shows(v)
	s.applies(v)
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

// lost is one conflict: what settled it, and what it cost.
func (m *machine) lose(e record.Entry, r *record.Record, n int, c *conflict.Change) {
	m.place.lost += uint64(len(c.Lost))
	m.put(loserCell(e.LSN, n), r, encodeLoss(r, c))
}
