package shell

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Result is what a run leaves to be judged.
type Result struct {
	Plan    Plan
	Ops     []history.Op
	Finals  []check.Final
	Logs    map[topology.NodeID]Log
	Faults  []string             // what was found wrong while it ran
	Reached map[string]int       // how often states were met that a test is there for
	Took    time.Duration        // virtual
	Forced  time.Duration        // from when on a forced leader may have lost something; 0 if none was
	Aside   map[check.Write]bool // what nodes have kept of the tails that were cut from their logs
	Missing []topology.Kept      // what they noted as lost, as it had left their logs before
}

// Log is what a machine holds of the log.
type Log struct {
	First   record.LSN // what is before it was trimmed, or came as a snapshot
	Terms   topology.History
	Entries []Entry
}

// Entry is one of a log, read.
type Entry struct {
	record.Entry
	record.Record
}

// States that runs are there for, and that some seeds must reach.
const (
	reachedFailover = "another node was made leader"
	reachedDiskEnd  = "a node ended by its disk"
	reachedDiskShut = "a node could not be opened for its disk"
	reachedRewound  = "a tail was rewound" // since the node was last started
	reachedTrimmed  = "a log was trimmed"  // with Pebble

	reachedCounted = "a lost directory was replaced, and is counted"
	reachedRotShut = "a node was refused for the damage in its directory"
	reachedRotEnd  = "a node ended by the damage in its directory"
	reachedMended  = "damage was repaired where it stood, or hit nothing"
	reachedForced  = "a node was made leader by force"
	reachedMissing = "acknowledged writes were lost by force, had left the log, and that was noted"
	reachedLost    = "acknowledged writes were lost by force, and kept aside"
)

const (
	settleEvery = 50 * time.Millisecond
	endKey      = "end"
)

// settle waits, after the heal, until a write is acknowledged and all nodes show
// it and nothing else, and takes what they hold.
func (w *world) settle(ctx context.Context, r *Result) {
	healed := time.Now()
	acked := func() bool { return w.operator.write(ctx, endKey) }
	if !w.within(healed, "a write is acknowledged", acked) {
		return
	}
	w.logger.Info("recovered", "after", time.Since(healed))
	if !w.within(healed, "all nodes show the same place", w.level) {
		return
	}
	for _, id := range w.plan.Nodes {
		if w.machines[id].process().Status().Rewound > 0 {
			w.reach(reachedRewound)
		}
		f, err := w.final(ctx, id)
		if err != nil {
			w.fault("%s after the heal: %v", id, err)
			return
		}
		r.Finals = append(r.Finals, f)
	}
}

// within waits for f for as long as a recovery may take.
func (w *world) within(healed time.Time, what string, f func() bool) bool {
	for !f() {
		if time.Since(healed) > Recovery {
			w.fault("%v after the heal it is not so that %s: %s", Recovery, what, w.describe())
			return false
		}
		time.Sleep(settleEvery)
	}
	return true
}

func (w *world) describe() string {
	s := fmt.Sprintf("the operator takes %s for the leader", w.operator.leader())
	for _, id := range w.plan.Nodes {
		p := w.machines[id].process()
		if p == nil {
			s += fmt.Sprintf("; %s is down", id)
			continue
		}
		st := p.Status()
		s += fmt.Sprintf("; %s: %s of term %d (%s), end %d, flushed %d, commit %d, applied %d, rewound %d, %q %q",
			id, st.Role, st.Term, st.Leader, st.End, st.Flushed, st.Commit, st.Applied, st.Rewound, st.Failure, st.Warnings)
		for _, peer := range st.Peers {
			s += fmt.Sprintf(" [%s %s flushed %d %q]", peer.Node, peer.State, peer.Flushed, peer.Problem)
		}
	}
	return s
}

// level reports whether all nodes run and show the end of one log.
func (w *world) level() bool {
	var at []topology.Status
	for _, m := range w.machines {
		p := m.process()
		if p == nil {
			return false
		}
		at = append(at, p.Status())
	}
	return !slices.ContainsFunc(at, func(s topology.Status) bool {
		return s.Applied != at[0].Applied || s.Applied != s.End || s.Flushed != s.End || s.Term != at[0].Term
	})
}

// final is what a node holds.
func (w *world) final(ctx context.Context, id topology.NodeID) (check.Final, error) {
	p := w.machines[id].process()
	f, err := load.Final(ctx, string(id), p.Engine())
	for _, own := range []string{probeKey, endKey} {
		delete(f.Cells, own)
	}
	f.Vector = version.Vector{{Origin: version.Origin{ID: 1}, Seq: uint64(p.Status().Applied)}}
	return f, err
}

// readLogs reads the logs of all machines, of which none runs any more.
func (w *world) readLogs(r *Result) {
	r.Logs, r.Aside = map[topology.NodeID]Log{}, map[check.Write]bool{}
	for _, id := range w.plan.Nodes {
		log, err := w.machines[id].readLog(r)
		if err != nil {
			w.fault("the log of %s can not be read after the run: %v", id, err)
		}
		r.Logs[id] = log
	}
	for i := range r.Finals {
		f := &r.Finals[i]
		log := r.Logs[topology.NodeID(f.Node)]
		if log.First > 1 {
			w.reach(reachedTrimmed)
			continue
		}
		f.Held = map[check.Write]bool{}
		for _, e := range log.Entries {
			f.Held[check.Write{Dot: e.Dot, Time: e.Time}] = true
		}
	}
}

// readLog reads the log of a machine, and adds to r what was cut from it.
func (m *machine) readLog(r *Result) (log Log, err error) {
	h, err := home.Open(home.Options{FS: m.disk, Dir: "data", Cluster: "triad", Node: m.id})
	if err != nil {
		return log, err
	}
	defer h.Close()
	if err := r.readAside(h.Sidelog()); err != nil {
		return log, err
	}
	dir, err := h.Place("log")
	if err != nil {
		return log, err
	}
	id, _ := h.Cluster()
	l, err := wal.Open(wal.Options{FS: m.disk, Dir: dir, Cluster: id, Node: m.id})
	if err != nil {
		return log, err
	}
	defer l.Close()
	log.First, log.Terms = l.Bounds().First, l.History()
	for e, err := range l.Read(context.Background(), log.First) {
		if err != nil {
			return log, err
		}
		e.Bytes = slices.Clone(e.Bytes)
		rec, err := e.Record()
		if err != nil {
			return log, err
		}
		log.Entries = append(log.Entries, Entry{e, rec})
	}
	return log, nil
}

func (r *Result) readAside(side *home.Sidelog) error {
	all, err := side.List()
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.Records == 0 {
			r.Missing = append(r.Missing, k)
		}
		for e, err := range side.Entries(k.Name) {
			if err != nil {
				return err
			}
			rec, err := e.Record()
			if err != nil {
				return err
			}
			r.Aside[check.Write{Dot: rec.Dot, Time: rec.Time}] = true
		}
	}
	return nil
}
