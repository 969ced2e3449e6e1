package placement_test

import (
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// world is one partition on the move, with as little of an engine as can move it:
// nodes that hold writes, one bit each, and know some map; messages that are late or
// lost; whoever steps the map when everybody who serves has heard of the step
// before. What it holds is that no read misses an acknowledged write.
type world struct {
	t           *rapid.T
	read, write quorum.Expr
	m           *placement.Map
	known       map[topology.NodeID]*placement.Map
	data        map[topology.NodeID]uint64
	filled      map[topology.NodeID]uint64 // in which session
	acked       uint64
	writes      []*writing
	flying      []message
	reached     *reached
}

type writing struct {
	by    *placement.Map
	tally quorum.Tally[topology.NodeID]
}

// message is a write on its way, or a chunk of a stream.
type message struct {
	to      topology.NodeID
	write   int // −1 for a chunk
	data    uint64
	session uint64
}

// reached counts what the schedules came by: a test that never gets there shows
// nothing.
type reached struct {
	acked, refused, read, moved, undone, cancelled, late, alone, stayed int
}

func TestNoReadMissesAnAcknowledgedWriteWhileReplicasMove(t *testing.T) {
	var r reached
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.reached = &r
		for range rapid.IntRange(50, 400).Draw(t, "steps") {
			switch rapid.IntRange(0, 16).Draw(t, "what") {
			case 0, 1:
				w.begin()
			case 2, 3, 4:
				w.put()
			case 5, 6, 7:
				w.deliver()
			case 8, 9:
				w.learn(rapid.IntRange(0, 3).Draw(t, "all") > 0)
			case 10, 11:
				w.advance()
			case 12:
				w.back()
			case 13, 14:
				w.fill()
			default:
				w.get()
			}
		}
	})
	t.Logf("%+v", r)
	for name, n := range map[string]int{
		"acknowledged": r.acked, "refused for an old map": r.refused, "read": r.read, "moved": r.moved, "undone": r.undone,
		"cancelled": r.cancelled, "late chunk": r.late, "filled alone": r.alone, "filled who stays": r.stayed,
	} {
		require.NotZero(t, n, name)
	}
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, known: map[topology.NodeID]*placement.Map{}, data: map[topology.NodeID]uint64{}, filled: map[topology.NodeID]uint64{}}
	pair := rapid.SampledFrom([][2]string{{"quorum", "quorum"}, {"one", "all"}, {"all", "one"}, {"local_quorum", "each_quorum"}, {"quorum in quorum of sites", "quorum in quorum of sites"}}).Draw(t, "needs")
	w.read, w.write = quorum.MustParseExpr(pair[0]), quorum.MustParseExpr(pair[1])
	w.m = found(t, w.layout(), 1)
	for i := range 7 {
		w.known[member(i, "", "", 1).ID] = w.m
	}
	return w
}

// layout draws a layout of some of seven nodes: the odd ones in one site, the even
// ones in another.
func (w *world) layout() (l placement.Layout) {
	for i := range 7 {
		if rapid.IntRange(0, 3).Draw(w.t, "in") > 0 || i < 2 {
			l.Nodes = append(l.Nodes, member(i, []string{"eu", "us"}[i%2], "", uint32(rapid.IntRange(1, 5).Draw(w.t, "weight"))))
		}
	}
	l.Copies = rapid.IntRange(2, min(5, len(l.Nodes))).Draw(w.t, "copies")
	return l
}

func (w *world) begin() {
	if p, err := w.m.Plan(w.layout()); err == nil {
		w.m = p.Begin()
	}
}

// somebody draws a node, by whose map a client works.
func (w *world) somebody() topology.NodeID {
	return member(rapid.IntRange(0, 6).Draw(w.t, "node"), "", "", 1).ID
}

func (w *world) put() {
	by := w.known[w.somebody()]
	need, err := by.Part(0).WriteNeed(w.write, "eu")
	if err != nil || len(w.writes) == 64 {
		return
	}
	for _, n := range by.Part(0).Writers() {
		if rapid.IntRange(0, 3).Draw(w.t, "lost") > 0 {
			w.flying = append(w.flying, message{to: n, write: len(w.writes)})
		}
	}
	w.writes = append(w.writes, &writing{by, need.Tally()})
}

// serves reports whether a node serves a request by a map, and has it learn that if
// it is newer than its own.
func (w *world) serves(n topology.NodeID, by *placement.Map) bool {
	if w.known[n].Check(0, by.Epoch()) == placement.Ahead {
		d, err := placement.DecodeDelta(by.Since(w.known[n].Epoch()).Encode())
		require.NoError(w.t, err)
		w.known[n], err = w.known[n].Apply(d)
		require.NoError(w.t, err)
	}
	if w.known[n].Check(0, by.Epoch()) == placement.Behind {
		w.reached.refused++
		return false
	}
	return true
}

func (w *world) deliver() {
	if len(w.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flying)-1).Draw(w.t, "message")
	m := w.flying[i]
	w.flying = slices.Delete(w.flying, i, i+1)
	if m.write < 0 {
		if !w.known[m.to].Part(0).Session(m.session) {
			w.reached.late++
			return
		}
		w.data[m.to] |= m.data
		w.filled[m.to] = m.session
		return
	}
	wr := w.writes[m.write]
	if !w.serves(m.to, wr.by) {
		return
	}
	require.True(w.t, w.known[m.to].Holds(m.to, 0), "who serves a write holds the partition")
	w.data[m.to] |= 1 << m.write
	if wr.tally.Yes(m.to) == quorum.Reached {
		w.acked |= 1 << m.write
		w.reached.acked++
	}
}

func (w *world) learn(all bool) {
	if all {
		for i := range 7 {
			w.known[member(i, "", "", 1).ID] = w.m
		}
		return
	}
	w.known[w.somebody()] = w.m
}

// heard reports whether everybody who serves the partition has heard of the last
// step.
func (w *world) heard() bool {
	p := w.m.Part(0)
	for _, n := range slices.Concat(p.Old, p.New) {
		if w.known[n].Epoch() < w.m.Epoch() {
			return false
		}
	}
	return true
}

// advance steps the map if everybody has heard of the last step, and everybody has
// been filled who is to be before he is read.
func (w *world) advance() {
	p := w.m.Part(0)
	if p.New == nil || !w.heard() {
		return
	}
	if p.Stage == placement.StageCopying {
		nodes, _, err := p.Fill(w.write)
		if err != nil {
			return
		}
		for _, n := range nodes {
			if w.filled[n] != p.Epoch {
				return
			}
		}
	}
	m, err := w.m.Step(0)
	require.NoError(w.t, err)
	w.m = m
	if _, moving := m.Target(); moving {
		return
	}
	w.reached.moved++
	for n := range w.data { // who holds it no more forgets it
		if !m.Holds(n, 0) {
			w.data[n] = 0
		}
	}
}

func (w *world) back() {
	if m, err := w.m.Undo(0); err == nil && rapid.Bool().Draw(w.t, "undo") {
		w.m = m
		w.reached.undone++
		return
	}
	if rapid.Bool().Draw(w.t, "go on") {
		return
	}
	if m, err := w.m.Cancel(); err == nil {
		w.m = m
		w.reached.cancelled++
	}
}

// fill sends a new replica what it lacks, from who has heard that the partition
// copies.
func (w *world) fill() {
	p := w.m.Part(0)
	if p.Stage != placement.StageCopying || !w.heard() {
		return
	}
	nodes, alone, err := p.Fill(w.write)
	if err != nil || len(nodes) == 0 {
		return
	}
	to := rapid.SampledFrom(nodes).Draw(w.t, "filled")
	c := message{to: to, write: -1, session: p.Epoch}
	if alone {
		from, ok := w.m.Moves()[0].Replaces(to)
		require.True(w.t, ok)
		c.data = w.data[from]
		w.reached.alone++
	} else {
		if slices.Contains(p.Old, to) {
			w.reached.stayed++
		}
		need, err := p.SourceNeed(w.write, "eu")
		require.NoError(w.t, err)
		sets := enough(need)
		for _, n := range rapid.SampledFrom(sets).Draw(w.t, "sources") {
			c.data |= w.data[n]
		}
	}
	w.flying = append(w.flying, c)
}

// get reads by somebody's map, from whoever answers.
func (w *world) get() {
	by := w.known[w.somebody()]
	need, err := by.Part(0).ReadNeed(w.read, rapid.SampledFrom([]string{"eu", "us"}).Draw(w.t, "from"))
	if err != nil {
		return
	}
	tally := need.Tally()
	var got uint64
	for _, n := range rapid.Permutation(by.Replicas(0)).Draw(w.t, "order") {
		if !w.serves(n, by) {
			continue
		}
		got |= w.data[n]
		if tally.Yes(n) == quorum.Reached {
			require.Zero(w.t, w.acked&^got, "read at %v by %v: %d writes are missed", need.Members(), n, bits.OnesCount64(w.acked&^got))
			w.reached.read++
			return
		}
	}
}
