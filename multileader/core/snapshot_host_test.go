package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// snapshots are what a host has of other sites' stores, and what it shows of its own.
type snapshots struct {
	dropped  int                     // entries of the log that it does not hold any more
	staged   map[string]record.State // of one on its way
	marks    []core.Mark
	installs int
	careless bool // it gives tables that the taker does not hold
	served   map[core.Site]*servedView
}

// servedView is the store as it was when a peer asked for it.
type servedView struct {
	id    uint64
	keys  []string
	store map[string]record.State
}

// partCells is how many cells a part of a story has.
const partCells = 2

// drop lets the log go as far as it is committed.
func (h *host) drop() {
	if h.core != nil {
		h.snaps.dropped = int(h.core.Commit())
	}
}

// gone tells the core that the log does not hold what was asked for.
func (h *host) gone(e core.Effect, lsn record.LSN) {
	h.step(core.Event{Kind: core.EvGone, Peer: e.Peer, Session: e.Session, LSN: lsn, Origin: e.Origin, First: e.First, Last: e.Last})
}

// readable returns from where on a part of the log is read for a peer: what it has of
// what is dropped is passed over.
func (h *host) readable(e core.Effect) (from record.LSN, ok bool) {
	from = e.LSN
	for int(from) <= h.snaps.dropped {
		it := h.log[from-1]
		mine := it.Dot.Origin.ID == h.cfg.Origin.ID || e.Relay
		if !it.Dot.IsZero() && mine && !e.Has.Has(it.Dot) {
			return 0, false
		}
		from++
	}
	return from, true
}

// fill reads a gap; false if the log does not hold all of it.
func (h *host) fill(e core.Effect) (items []core.Item, ok bool) {
	for i, it := range h.log {
		if it.Dot.Origin == e.Origin && it.Dot.Seq >= e.First && it.Dot.Seq <= e.Last {
			if i < h.snaps.dropped {
				return nil, false
			}
			items = append(items, it)
		}
	}
	return items, len(items) > 0 && items[0].Dot.Seq == e.First
}

// serve answers a peer that takes a snapshot.
func (h *host) serve(e core.Effect) {
	m := core.Message{Kind: core.MsgPart, First: e.First}
	v := h.snaps.served[e.Peer]
	var r record.Record
	switch {
	case e.First == 0:
		v = &servedView{id: uint64(h.core.Commit())<<8 + uint64(len(h.snaps.served)) + 1, keys: slices.Sorted(maps.Keys(h.store)), store: maps.Clone(h.store)}
		if !h.snaps.careless {
			v.keys = slices.DeleteFunc(v.keys, func(k string) bool { return !h.cfg.Filters.Holds(e.Peer, tableOf(k)) })
		}
		h.snaps.served[e.Peer] = v
		var p core.Position
		for _, it := range h.log[:h.done] {
			if _, err := p.Add(it.Entry); err != nil {
				panic(err)
			}
		}
		r = core.Begin(v.id, h.name, p.Time, p.Marks, h.left(e.Peer)...)
	case v == nil || v.id != e.First:
		h.step(core.Event{Kind: core.EvServed, Peer: e.Peer, Session: e.Session, Message: &m})
		return
	default:
		at, _ := strconv.Atoi(string(e.At))
		next := min(at+partCells, len(v.keys))
		var cells []record.Mutation
		for _, k := range v.keys[at:next] {
			s := v.store[k]
			cells = append(cells, record.Mutation{Op: record.OpState, Table: tableOf(k), Key: []byte(k), Value: record.NewEncoder().AppendState(nil, &s)})
		}
		r = core.Part(v.id, h.name, e.At, []byte(strconv.Itoa(next)), next == len(v.keys), cells)
	}
	b := record.NewEncoder().Append(nil, &r)
	m.First, m.Body = v.id, record.AppendEntry(nil, record.Entry{Sum: record.Sum(b), Bytes: b})
	h.step(core.Event{Kind: core.EvServed, Peer: e.Peer, Session: e.Session, Message: &m})
}

// left are the tables of which a snapshot for a peer has nothing.
func (h *host) left(peer core.Site) []record.TableID {
	ts := append(h.cfg.Filters.Without(h.name), h.cfg.Filters.Without(peer)...)
	if h.snaps.careless {
		ts = h.cfg.Filters.Without(h.name)
	}
	slices.Sort(ts)
	return slices.Compact(ts)
}

// note takes a note of the log: a snapshot counts with its last one.
func (h *host) note(e record.Entry, r *record.Record) {
	in, ok, err := h.in.Add(e.LSN, r)
	if err != nil {
		panic(err)
	}
	if !ok {
		return
	}
	h.in = in
	switch {
	case core.Raises(r):
		h.install()
		h.in = core.Incoming{}
		if h.core != nil {
			h.over = true
		}
	case in.Stage == core.StageComing:
		for i := range r.Mutations[1:] {
			m := &r.Mutations[1+i]
			var s record.State
			if err := record.DecodeState(slices.Clone(m.Value), &s); err != nil {
				panic(err)
			}
			h.snaps.staged[string(m.Key)] = s
		}
	default:
		h.snaps.staged, h.snaps.marks = map[string]record.State{}, in.Marks
	}
}

func (h *host) install() {
	h.snaps.installs++
	var covers version.Vector
	for _, m := range h.snaps.marks {
		covers = covers.With(m.Origin, m.Seq)
	}
	keys := map[string]bool{}
	for k := range h.store {
		keys[k] = true
	}
	for k := range h.snaps.staged {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if slices.Contains(h.in.Without, tableOf(k)) {
			continue // nothing of its table came
		}
		c, err := conflict.JoinWith(conflict.LWW(), record.Cell{Table: record.TableDefault, Key: []byte(k)}, h.store[k].Siblings, h.applied, h.snaps.staged[k].Siblings, covers)
		if err != nil {
			panic(err)
		}
		h.store[k] = c.State
		if len(c.State.Siblings) == 0 {
			delete(h.store, k)
		}
		h.lost = append(h.lost, c.Lost...)
	}
	for _, m := range h.snaps.marks {
		if m.Seq > h.applied.Get(m.Origin) {
			h.applied = h.applied.With(m.Origin, m.Seq)
		}
	}
	h.snaps.staged = map[string]record.State{}
	h.net.say("%s has a snapshot: %s\n", h.name, vectorText(h.applied))
}

func noteText(it core.Item, r *record.Record) (string, bool) {
	in, ok, err := core.Incoming{Stage: core.StageComing}.Add(it.Entry.LSN, r)
	if err != nil || !ok {
		return "", false
	}
	switch {
	case core.Raises(r):
		return fmt.Sprintf("at %d a note: a snapshot counts", it.Entry.LSN), true
	case in.Stage == core.StageBegun:
		text := fmt.Sprintf("at %d a note: a snapshot of %s at %s", it.Entry.LSN, in.From, marksText(in.Marks))
		if len(in.Without) > 0 {
			text += skipText(&core.Skip{Tables: in.Without})
		}
		return text, true
	case in.Stage == core.StageNone:
		return fmt.Sprintf("at %d a note: it is given up", it.Entry.LSN), true
	}
	return fmt.Sprintf("at %d a note: %d cells of it", it.Entry.LSN, len(r.Mutations)-1), true
}
