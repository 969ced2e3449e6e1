package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Limits of one atomic step of the applier.
const (
	applyEditsMax = 1024
	applyBytesMax = 1 << 20
)

// applyRest is how long committed entries may gather where nobody waits to see
// them: a step costs a node the same for one as for twenty, and takes its time
// from the commits.
const applyRest = time.Millisecond

// applier makes what is committed visible: it reads the log, has the machine turn
// records into edits, and gives the store groups of them together with the position
// they reach (C6). It works off the path of a commit.
type applier struct {
	e       *engine
	machine Machine
	kick    chan struct{}
	wanted  chan struct{} // somebody waits for what is not applied: no rest
	over    chan struct{} // closed when run has ended: nothing is applied any more
	target  atomic.Uint64
	shown   atomic.Uint64 // what a reader of the store may have seen: done, or the step under way
	done    atomic.Uint64

	waiting atomic.Int32  // waiters that are not patient
	swaps   atomic.Uint64 // snapshots that begin and end to replace the store's contents
	mu      sync.Mutex
	waiters []*reached
	swapped chan struct{} // closed when the next of swaps has ended

	rec record.Record
}

type reached struct {
	lsn     record.LSN
	done    chan struct{}
	patient bool // what it waits for need not be applied at once
}

func newApplier(e *engine, machine Machine, applied record.LSN) *applier {
	a := &applier{e: e, machine: machine, kick: make(chan struct{}, 1), wanted: make(chan struct{}, 1), over: make(chan struct{}), swapped: make(chan struct{})}
	a.target.Store(uint64(applied))
	a.shown.Store(uint64(applied))
	a.done.Store(uint64(applied))
	return a
}

// reach raises what may be applied. It never blocks.
func (a *applier) reach(lsn record.LSN) {
	if uint64(lsn) <= a.target.Load() {
		return
	}
	a.target.Store(uint64(lsn))
	if a.waiting.Load() > 0 {
		a.want()
	}
	a.nudge()
}

// nudge has it look again at what may be applied. It never blocks.
func (a *applier) nudge() { nudge(a.kick) }

// goal is up to where entries may be applied now.
func (a *applier) goal() uint64 {
	if most := a.e.restoring.most.Load(); most > 0 {
		return min(a.target.Load(), most)
	}
	return a.target.Load()
}

// want says that somebody waits to see what is committed. It never blocks.
func (a *applier) want() {
	select {
	case a.wanted <- struct{}{}:
	default:
	}
}

// applied returns what the store shows.
func (a *applier) applied() record.LSN { return record.LSN(a.done.Load()) }

// wait returns once the store shows lsn.
func (a *applier) wait(ctx context.Context, lsn record.LSN) error { return a.await(ctx, lsn, false) }

// follow is wait for those who always wait: entries may rest all the same.
func (a *applier) follow(ctx context.Context, lsn record.LSN) error { return a.await(ctx, lsn, true) }

func (a *applier) await(ctx context.Context, lsn record.LSN, patient bool) error {
	if a.applied() >= lsn {
		return nil
	}
	r := &reached{lsn: lsn, done: make(chan struct{}), patient: patient}
	a.mu.Lock()
	a.waiters = append(a.waiters, r)
	if !patient {
		a.waiting.Add(1)
	}
	a.mu.Unlock()
	if !patient {
		a.want()
	}
	a.wake(a.applied())
	select {
	case <-r.done:
		return nil
	case <-a.e.failed:
		return a.e.broken()
	case <-a.over:
		if err := a.e.broken(); err != nil {
			return err
		}
		return fmt.Errorf("%w: entry %d is applied here, %d was asked for", topology.ErrClosed, a.applied(), lsn)
	case <-ctx.Done():
		if patient {
			a.forget(r)
		}
		return fmt.Errorf("%w: entry %d is applied here, %d was asked for: %w", topology.ErrTimeout, a.applied(), lsn, ctx.Err())
	}
}

// forget takes back a waiter that waits no more: those who follow may wait for
// ever.
func (a *applier) forget(r *reached) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiters = slices.DeleteFunc(a.waiters, func(w *reached) bool { return w == r })
}

// wake releases who waits for up to lsn.
func (a *applier) wake(lsn record.LSN) {
	a.mu.Lock()
	defer a.mu.Unlock()
	keep := a.waiters[:0]
	for _, r := range a.waiters {
		if r.lsn > lsn {
			keep = append(keep, r)
			continue
		}
		close(r.done)
		if !r.patient {
			a.waiting.Add(-1)
		}
	}
	clear(a.waiters[len(keep):])
	a.waiters = keep
}

// showing says that the store may show lsn from now on.
func (a *applier) showing(lsn record.LSN) { a.shown.Store(max(a.shown.Load(), uint64(lsn))) }

// saw returns what whoever has read the store may have seen, at most.
func (a *applier) saw() record.LSN { return record.LSN(a.shown.Load()) }

// reset moves the position after a snapshot replaced the store's contents.
func (a *applier) reset(lsn record.LSN) {
	a.target.Store(uint64(lsn))
	a.shown.Store(uint64(lsn))
	a.done.Store(uint64(lsn))
	a.wake(lsn)
}

func (a *applier) run(ctx context.Context) error {
	defer close(a.over)
	delay := time.NewTimer(time.Hour)
	defer delay.Stop()
	for {
		select {
		case <-a.kick:
			if !a.rest(ctx, delay) {
				return nil
			}
		case <-delay.C:
		case <-ctx.Done():
			return nil
		}
		wait, err := a.catchUp(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			a.e.fail(err)
			return err
		}
		if wait > 0 {
			delay.Reset(wait)
		}
	}
}

// rest lets entries gather. It reports whether ctx lasts.
func (a *applier) rest(ctx context.Context, timer *time.Timer) bool {
	timer.Reset(applyRest)
	select {
	case <-a.wanted:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// catchUp applies up to the target, and returns how long the next entry must
// wait for the apply delay, if it must.
func (a *applier) catchUp(ctx context.Context) (wait time.Duration, err error) {
	for wait == 0 && err == nil && a.done.Load() < a.goal() {
		if err = a.e.sinks.gate.enter(ctx); err == nil {
			wait, err = a.applySome(ctx)
			a.e.sinks.gate.leave()
		}
	}
	return wait, err
}

// applySome applies one group from the log. The gate keeps it apart from a
// snapshot that replaces log and store.
func (a *applier) applySome(ctx context.Context) (wait time.Duration, err error) {
	from, to := a.applied()+1, record.LSN(a.goal())
	if from > to {
		return 0, nil
	}
	last, entries, size := from-1, 0, 0
	for ent, err := range a.e.env.Log.Read(ctx, from) {
		if err != nil {
			return 0, err
		}
		if ent.LSN > to {
			break
		}
		if err := record.Decode(ent.Bytes, &a.rec); err != nil {
			return 0, fmt.Errorf("entry %d: %w", ent.LSN, err)
		}
		if wait = a.early(a.rec.Time.Time()); wait > 0 {
			break
		}
		n, err := a.machine.Take(ent, &a.rec)
		if errors.Is(err, ErrApplyFirst) && last >= from {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("entry %d: %w", ent.LSN, err)
		}
		last, entries, size = ent.LSN, entries+max(1, len(a.rec.Mutations)), size+n
		if entries >= applyEditsMax || size >= applyBytesMax {
			break
		}
	}
	if last < from {
		if wait == 0 && a.done.Load() < a.goal() {
			return 0, fmt.Errorf("entry %d is committed and not in the log", from)
		}
		return wait, nil
	}
	edits := a.machine.Edits()
	a.showing(last)
	if err := a.give(ctx, last, edits); err != nil {
		return 0, err
	}
	a.machine.Applied()
	a.done.Store(uint64(last))
	a.wake(last)
	a.e.appliedTo(last)
	return wait, nil
}

// applyAgain is how long the applier rests where the store has no space for more.
const applyAgain = 500 * time.Millisecond

// give hands the edits to the store, as often as that says that its disk is full: it
// has taken nothing then, and takes them once there is space. What is committed waits
// in the log meanwhile.
func (a *applier) give(ctx context.Context, last record.LSN, edits []topology.Edit) error {
	for {
		err := a.e.env.Store.Apply(last, edits)
		if err == nil || !errors.Is(err, topology.ErrDiskFull) || errors.Is(err, topology.ErrStoreFailed) {
			return err
		}
		t := time.NewTimer(applyAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}

// early returns how long an entry of that time must wait for the apply delay, 0
// if it is due.
func (a *applier) early(t time.Time) time.Duration {
	late := a.e.late()
	if late == 0 {
		return 0
	}
	return max(0, time.Until(t.Add(late)))
}

// appliedTo tells the core, and who waits for Applied.
func (e *engine) appliedTo(lsn record.LSN) {
	e.turn.post(core.Event{Kind: core.EvApplied, LSN: lsn})
}
