package leaderless

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// mover steps the map while partitions move (rule L8): one node does, the first by name
// of those that reach each other, or who keeps the map. Two that do so at once do no
// harm, as only one of two swaps of a document succeeds; nor does one that crashes, as
// all it knows it asks of the others again.
type mover struct {
	e *engine

	mu      sync.Mutex // a leaf
	problem string     // why the last attempt to step failed
}

const (
	methodMoves  = "leaderless.moves"
	movesEvery   = 50 * time.Millisecond // between two looks, while partitions move
	movesTimeout = 2 * time.Second
)

// stand is what a node says of itself to who steps the map.
type stand struct {
	reached bool
	epoch   uint64 // of the map by which all that it has under way goes on
	votes   bool
	filling string         // what it takes from others just now
	filled  map[int]uint64 // sessions in which it was filled, by partition
}

// serveMoves answers who steps the map: an array of four: the epoch, whether the node
// votes, what it takes from others, and an array of 2n: partition, session in which it
// was filled.
func (v *mover) serveMoves(context.Context, topology.Peer, []byte) ([]byte, error) {
	s, err := v.own()
	if err != nil {
		return nil, v.e.errorOf("moves", topology.NotApplied, err)
	}
	w := pack.NewWriter(nil)
	w.Array(4)
	w.Uint(s.epoch)
	w.Bool(s.votes)
	w.Str(s.filling)
	w.Array(2 * len(s.filled))
	for _, p := range slices.Sorted(maps.Keys(s.filled)) {
		w.Uint(uint64(p))
		w.Uint(s.filled[p])
	}
	return w.Bytes(), nil
}

// own is this node's stand. The loop says which map its core goes by, so that nothing by
// an older one is under way when it is told.
func (v *mover) own() (s stand, err error) {
	s.reached, s.filled, s.filling = true, v.e.filler.done(), v.e.filler.progress()
	s.votes, _ = v.e.life.voting()
	select {
	case <-v.e.loop.begun:
	default:
		return s, fmt.Errorf("%w: this node has not started yet", topology.ErrUnavailable)
	}
	err = v.e.loop.call(func() { s.epoch = v.e.place.Epoch() })
	return s, err
}

func decodeStand(b []byte) (s stand, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(4)
	s = stand{reached: true, epoch: r.Uint(), votes: r.Bool(), filling: r.StrMax(fillingMax), filled: map[int]uint64{}}
	for n := r.ArrayMax(2 * (PartitionsMax + 1)); n > 1 && r.Err() == nil; n -= 2 {
		p := int(r.UintMax(PartitionsMax))
		s.filled[p] = r.Uint()
	}
	if err := r.Done(); err != nil {
		return s, fmt.Errorf("%w: what a node says of its moves: %w", topology.ErrMalformed, err)
	}
	return s, nil
}

// ask asks all nodes of the map how they stand.
func (v *mover) ask(ctx context.Context, m *placement.Map) map[topology.NodeID]stand {
	ctx, cancel := context.WithTimeout(ctx, movesTimeout)
	defer cancel()
	out := map[topology.NodeID]stand{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, id := range m.Nodes() {
		wait.Go(func() {
			var s stand
			var err error
			if id == v.e.env.Self {
				s, err = v.own()
			} else {
				var b []byte
				if b, err = v.e.env.Transport.Call(ctx, id, methodMoves, nil); err == nil {
					s, err = decodeStand(b)
				}
			}
			s.reached = err == nil
			mu.Lock()
			defer mu.Unlock()
			out[id] = s
		})
	}
	wait.Wait()
	return out
}

// run steps the map while partitions move, where that is this node's to do.
func (v *mover) run(ctx context.Context) error {
	t := time.NewTicker(movesEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-v.e.chart.changed:
		case <-ctx.Done():
			return nil
		}
		if !v.mine() {
			continue
		}
		err := v.step(ctx)
		v.mu.Lock()
		v.problem = ""
		if err != nil {
			v.problem = err.Error()
		}
		v.mu.Unlock()
	}
}

// mine reports whether something moves, and this node is the one to step it.
func (v *mover) mine() bool {
	e := v.e
	m := e.place.Current()
	if _, moving := m.Target(); !moving {
		return false
	}
	if e.chart.byHand() {
		return keeperOf(m) == e.env.Self
	}
	for _, id := range m.Nodes() {
		if id == e.env.Self {
			return true
		}
		if p := e.peer(id); p != nil && p.isUp() {
			return false
		}
	}
	return false
}

// step takes every partition one stage further that is ready for it.
func (v *mover) step(ctx context.Context) error {
	m := v.e.place.Current()
	stands := v.ask(ctx, m)
	var ready []int
	for _, w := range v.waits(m, stands) {
		if w.why == "" {
			ready = append(ready, w.Partition)
		}
	}
	if len(ready) == 0 || ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, chartTimeout)
	defer cancel()
	_, err := v.e.chart.swap(ctx, func(now *placement.Map) (*placement.Map, error) {
		if now.Epoch() != m.Epoch() {
			return nil, fmt.Errorf("%w: map %d is newer than %d, which was looked at", topology.ErrConflict, now.Epoch(), m.Epoch())
		}
		return now.Step(ready...)
	})
	return err
}

// wait is a partition that has not moved yet, and what it waits for; empty: its next
// stage is due.
type wait struct {
	placement.Move
	part placement.Part
	why  string
}

// waits says of every partition that has not moved yet what it waits for. Some move at
// a time; that of all nodes, which says what tables are, moves before all others.
func (v *mover) waits(m *placement.Map, stands map[topology.NodeID]stand) (out []wait) {
	e := v.e
	moves := m.Moves()
	shared, _ := placement.Shared(m)
	slices.SortStableFunc(moves, func(a, b placement.Move) int {
		first := func(m placement.Move) int {
			if m.Partition == shared {
				return 0
			}
			return 1
		}
		return first(a) - first(b)
	})
	room := e.o.MovesMax
	for _, mv := range moves {
		if m.Part(mv.Partition).Stage != placement.StageWaiting {
			room--
		}
	}
	blocked := false
	for _, mv := range moves {
		w := wait{Move: mv, part: m.Part(mv.Partition)}
		waiting := w.part.Stage == placement.StageWaiting
		switch {
		case waiting && blocked:
			w.why = "what tables are moves first"
		case waiting && room <= 0:
			w.why = fmt.Sprintf("%d partitions move at a time", e.o.MovesMax)
		default:
			w.why = v.unready(m, w.part, stands)
			if waiting && w.why == "" {
				room--
			}
		}
		if mv.Partition == shared && w.part.Stage < placement.StageReading {
			blocked = true
		}
		out = append(out, w)
	}
	return out
}

// unready says why the next step of a partition may not be made yet, empty if it may:
// whoever serves it has to have heard of the map as it is, with nothing of before under
// way, and who is to be read next must have been filled.
func (v *mover) unready(m *placement.Map, part placement.Part, stands map[topology.NodeID]stand) string {
	if why := v.unheard(m, part, stands, m.Target); why != "" {
		return why
	}
	for _, id := range part.New {
		if s := stands[id]; !s.votes {
			return fmt.Sprintf("%s does not vote yet", id)
		}
	}
	if part.Stage != placement.StageCopying {
		return ""
	}
	nodes, _, err := part.Fill(v.e.o.Write.Expr())
	if err != nil {
		return err.Error()
	}
	for _, id := range nodes {
		if stands[id].filled[part.ID] != part.Epoch {
			return fmt.Sprintf("%s is being filled", id)
		}
	}
	return ""
}

// unheard says who has not heard of the map, empty if enough have. All that serve the
// partition are enough. Who is to leave for good, and can not be reached, need not be
// heard of if those who have heard meet everybody that a write, or a read, needs: then
// nothing can be acknowledged or read by an older map any more. What such a node alone
// has acknowledged goes with it, as with its disk.
func (v *mover) unheard(m *placement.Map, part placement.Part, stands map[topology.NodeID]stand, to func() (placement.Layout, bool)) string {
	stays, _ := to()
	var late, gone []string
	var heard []topology.NodeID
	for _, id := range union(part.Old, part.New) {
		s := stands[id]
		switch {
		case s.reached && s.epoch >= m.Epoch():
			heard = append(heard, id)
		case !s.reached && !slices.ContainsFunc(stays.Nodes, func(n placement.Node) bool { return n.ID == id }):
			gone = append(gone, string(id))
		default:
			late = append(late, string(id))
		}
	}
	if len(late) > 0 {
		return fmt.Sprintf("%s must hear of map %d", strings.Join(late, ", "), m.Epoch())
	}
	if len(gone) == 0 {
		return ""
	}
	for _, level := range []quorum.Consistency{v.e.o.Write, v.e.o.Read} {
		need, err := sourceNeed(m, part, level)
		if err != nil {
			return err.Error()
		}
		t := need.Tally()
		for _, id := range heard {
			t.Yes(id)
		}
		if t.Verdict() != quorum.Reached {
			return fmt.Sprintf("%s can not be reached, and without them too few have heard of map %d: %s", strings.Join(gone, ", "), m.Epoch(), t.Lacks())
		}
	}
	return ""
}

func union(a, b []topology.NodeID) []topology.NodeID {
	out := slices.Clone(a)
	for _, id := range b {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
