package leaderless

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// filler fills this node with the partitions that it is to hold (rule L8). Every stream
// is of one session, named by the epoch of the step by which its partition began to copy;
// of one that is over nothing counts, neither here nor at its source. In which sessions
// it was filled is remembered: a node that crashes goes on with the next partition.
type filler struct {
	e *engine

	mu     sync.Mutex     // guards what follows; a leaf, but for the disk
	filled map[int]uint64 // session, by partition
	at     string         // what is under way, in words
	bytes  uint64         // taken since the start
}

const (
	filledMemory = "leaderless.filled"
	filledFormat = 1
	fillRetry    = 100 * time.Millisecond
)

// openFiller reads in which sessions this node was filled: an array of two: format, 1, and
// an array of 2n: partition, session.
func openFiller(e *engine) (*filler, error) {
	f := &filler{e: e, filled: map[int]uint64{}}
	b, err := e.env.Stable.Load(filledMemory)
	if err != nil || b == nil {
		return f, err
	}
	r := pack.NewReader(b)
	r.ArrayOf(2)
	if v := r.Uint(); r.Err() == nil && v != filledFormat {
		return nil, fmt.Errorf("the document %s has format %d, this version knows %d: %w", filledMemory, v, filledFormat, topology.ErrUnsupported)
	}
	for n := r.ArrayMax(2 * (PartitionsMax + 1)); n > 1 && r.Err() == nil; n -= 2 {
		p := int(r.UintMax(PartitionsMax))
		f.filled[p] = r.Uint()
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("the document %s: %w: %w", filledMemory, topology.ErrMalformed, err)
	}
	return f, nil
}

// done returns in which sessions this node was filled.
func (f *filler) done() map[int]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.filled)
}

// finish remembers that this node was filled in a session, and forgets those that are over.
func (f *filler) finish(partition int, session uint64) error {
	m := f.e.place.Current()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filled[partition] = session
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(filledFormat)
	for p, s := range f.filled {
		if p >= m.Partitions() || !m.Part(p).Session(s) && p != partition {
			delete(f.filled, p)
		}
	}
	w.Array(2 * len(f.filled))
	for _, p := range slices.Sorted(maps.Keys(f.filled)) {
		w.Uint(uint64(p))
		w.Uint(f.filled[p])
	}
	return f.e.env.Stable.Save(filledMemory, w.Bytes())
}

func (f *filler) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = fmt.Sprintf(format, args...)
}

// fillingMax bounds, in bytes, what a node says of it.
const fillingMax = 4 << 10

// progress is what is under way, in words.
func (f *filler) progress() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[:min(len(f.at), fillingMax)]
}

// run fills this node with one partition after another, while there are any.
func (f *filler) run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-f.e.chart.wanted:
		case <-ctx.Done():
			return nil
		}
		again, err := f.all(ctx)
		if err != nil && ctx.Err() == nil {
			f.say("%v", err)
		}
		if again {
			t.Reset(fillRetry)
		}
	}
}

// all fills this node with all that it is to hold by now; again says that some is left.
func (f *filler) all(ctx context.Context) (again bool, err error) {
	m := f.e.place.Current()
	for _, mv := range m.Moves() {
		part := m.Part(mv.Partition)
		if part.Stage != placement.StageCopying || f.done()[part.ID] == part.Epoch {
			continue
		}
		nodes, alone, ferr := part.Fill(f.e.o.Write.Expr())
		if ferr != nil {
			return true, ferr
		}
		if !slices.Contains(nodes, f.e.env.Self) {
			continue
		}
		if ferr := f.fill(ctx, mv, part, alone); ferr != nil {
			again, err = true, fmt.Errorf("partition %d: %w", part.ID, ferr)
			continue
		}
		if ferr := f.finish(part.ID, part.Epoch); ferr != nil {
			return true, ferr
		}
		f.say("")
	}
	return again, err
}

// fill takes a partition from the replica whose place this node takes, where that is
// enough and it can be reached; else from so many of the old ones that they meet every
// write.
func (f *filler) fill(ctx context.Context, mv placement.Move, part placement.Part, alone bool) error {
	if from, ok := mv.Replaces(f.e.env.Self); ok && alone {
		if p := f.e.peer(from); p != nil && p.isUp() {
			return f.take(ctx, part, from)
		}
	}
	need, err := sourceNeed(f.e.place, part, f.e.o.Write)
	if err != nil {
		return err
	}
	t := need.Tally()
	if slices.Contains(part.Old, f.e.env.Self) {
		t.Yes(f.e.env.Self)
	}
	for _, from := range part.Old {
		if t.Verdict() == quorum.Reached {
			return nil
		}
		if from == f.e.env.Self {
			continue
		}
		if err := f.take(ctx, part, from); err != nil {
			t.No(from, err)
		} else {
			t.Yes(from)
		}
	}
	if t.Verdict() == quorum.Reached {
		return nil
	}
	why := fmt.Errorf("%w: it is to be filled from %s", topology.ErrUnavailable, t.Lacks())
	for id, reason := range t.Reasons() {
		why = fmt.Errorf("%w; %s: %w", why, id, reason)
	}
	return why
}

// take takes all that one node holds of a partition, in a session.
func (f *filler) take(ctx context.Context, part placement.Part, from topology.NodeID) error {
	e := f.e
	asked := pageAsked{partitions: []int{part.ID}, sets: true, session: part.Epoch}
	parts := &filling{e: e}
	var sets []core.Applied
	var latest version.Timestamp
	cells := 0
	began, size := time.Now(), uint64(0)
	for more := true; more; asked.sets = false {
		p, err := asked.ofVoter(ctx, e, from)
		if err != nil {
			return err
		}
		if asked.sets {
			sets = p.sets
		}
		if err := f.install(ctx, parts, part, from, p.cells); err != nil {
			return err
		}
		// What this node has of an earlier time, and the source has seen deleted, goes.
		if err := parts.prune(ctx, from, &asked, sets, &p); err != nil {
			return err
		}
		latest = max(latest, p.time)
		cells += len(p.cells)
		size += p.bytes
		f.mu.Lock()
		f.bytes += p.bytes
		f.mu.Unlock()
		f.say("it takes partition %d from %s: %d cells, %d bytes so far", part.ID, from, cells, size)
		if more = p.more && len(p.cells) > 0; more {
			asked.from = after(p.cells[len(p.cells)-1].Cell)
			if err := f.pace(ctx, began, size); err != nil {
				return err
			}
		}
	}
	set := core.Applied{Partition: part.ID}
	if len(sets) == 1 {
		set.Set = sets[0].Set
	}
	ev := core.Event{Kind: core.EvInstall, Node: from, Part: core.Part{Partition: part.ID, Applied: &set.Set, Session: part.Epoch, Time: latest}}
	if err := f.place(ctx, parts, ev); err != nil {
		return err
	}
	e.log.Info("a partition was taken over", "partition", part.ID, "from", from, "session", part.Epoch, "cells", cells, "bytes", size)
	return nil
}

// pace waits so long that no more is taken a second than may be.
func (f *filler) pace(ctx context.Context, began time.Time, size uint64) error {
	most := f.e.o.MoveBytesPerSec
	if most == 0 {
		return nil
	}
	due := time.Duration(float64(size) / float64(most) * float64(time.Second))
	t := time.NewTimer(due - time.Since(began))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// install places cells in the log.
func (f *filler) install(ctx context.Context, parts *filling, part placement.Part, from topology.NodeID, cells []topology.Edit) error {
	if len(cells) == 0 {
		return nil
	}
	p := core.Part{Partition: part.ID, Session: part.Epoch}
	for i := range cells {
		h := core.Held{Cell: cells[i].Cell}
		if err := record.DecodeState(cells[i].State, &h.State); err != nil {
			return fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, h.Key, err)
		}
		p.Cells = append(p.Cells, h)
	}
	return f.place(ctx, parts, core.Event{Kind: core.EvInstall, Node: from, Part: p})
}

// place has a part placed in the log, and waits until it is durable there; where the log
// has no room for it yet, it waits for that.
func (f *filler) place(ctx context.Context, parts *filling, ev core.Event) error {
	for {
		err := parts.place(ctx, ev)
		if !errors.Is(err, topology.ErrOverloaded) {
			return err
		}
		select {
		case <-time.After(fillRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// session lets a stream to a new replica begin, or go on: in its session alone, and at
// its beginning once all is shown here that was taken before this node heard of it.
func (g pages) session(ctx context.Context, a *pageAsked) (at version.Timestamp, err error) {
	e := g.e
	if len(a.partitions) != 1 {
		return 0, fmt.Errorf("%w: a stream of %d partitions", topology.ErrMalformed, len(a.partitions))
	}
	p := a.partitions[0]
	if err := e.loop.started(ctx); err != nil {
		return 0, err
	}
	var fault error
	shown := make(chan struct{})
	err = e.loop.call(func() {
		m := e.place.Current()
		at = core.Latest(e.loop.core)
		switch {
		case p >= m.Partitions():
			fault = fmt.Errorf("%w: there is no partition %d", topology.ErrMalformed, p)
		case !m.Part(p).Session(a.session):
			fault = fmt.Errorf("%w: partition %d is %v by map %d, and not of session %d", topology.ErrStale, p, m.Part(p).Stage, m.Epoch(), a.session)
		case !slices.Contains(m.Part(p).Old, e.env.Self):
			fault = fmt.Errorf("%w: %s is no source of partition %d", topology.ErrStale, e.env.Self, p)
		}
		if fault != nil {
			return
		}
		_ = e.loop.flush() // what it did not take is not shown
		e.loop.durable = append(e.loop.durable, durable{e.loop.core.End, shown})
		e.loop.release()
	})
	if err = errors.Join(err, fault); err != nil {
		return 0, err
	}
	select {
	case <-shown:
		return at, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
}

// shows holds that this node is asked for all partitions of a page: it may have left one
// since who asks learnt the map.
func (g pages) shows(a *pageAsked) error {
	m := g.e.place.Current()
	for _, p := range a.partitions {
		if p >= m.Partitions() || !g.e.place.Full(g.e.env.Self, p) {
			return fmt.Errorf("%w: %s shows nothing of partition %d by map %d; read again", topology.ErrStale, g.e.env.Self, p, m.Epoch())
		}
	}
	return nil
}

// sourceNeed is how many of the old replicas of a partition meet every request of a level,
// from whatever site it is asked.
func sourceNeed(at placement.Mapped, part placement.Part, l quorum.Consistency) (all quorum.Need[topology.NodeID], err error) {
	found := false
	var last error
	for _, site := range sitesOf(at) {
		n, err := part.SourceNeed(l.Expr(), site)
		switch {
		case err != nil:
			last = err // nobody asks from there
			continue
		case !found:
			all, found = n, true
			continue
		}
		if all, err = quorum.Joint(all, n); err != nil {
			return all, err
		}
	}
	if !found {
		return all, last
	}
	return all, nil
}
