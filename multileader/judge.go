package multileader

import (
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// judge asks the functions that settle tables, where somebody wants to see what they
// make of concurrent versions. Nothing that a site stores depends on an answer, so a
// function that fails, differs or never returns spoils nothing but what is shown, and
// its table is quarantined for that.
type judge struct {
	e      *engine
	teller *teller // of what was found
	wake   chan struct{}

	mu       sync.Mutex // a leaf
	hung     map[record.TableID]*hang
	accused  map[record.TableID]string    // whose quarantine is asked for, and why
	tried    map[record.TableID]time.Time // when that was written last
	todo     []record.Cell                // to be examined
	evidence evidence
	faults   map[string]uint64 // by table: sets of writes of which a function failed
}

// hang is a function that did not return.
type hang struct {
	why   string
	held  bool // the quarantine was seen, so one that is gone was released
	doubt bool // it has held a decision up, and is asked again away from the loop
}

func newJudge(e *engine) *judge {
	return &judge{
		e: e, teller: &teller{e: e}, wake: make(chan struct{}, 1), hung: map[record.TableID]*hang{},
		accused: map[record.TableID]string{}, tried: map[record.TableID]time.Time{}, faults: map[string]uint64{},
	}
}

// charge is a quarantine that is asked for.
type charge struct {
	table record.TableID
	why   string
}

func (j *judge) charges() (out []charge) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, why := range j.accused {
		out = append(out, charge{id, why})
	}
	return out
}

// drop forgets a charge that has become a quarantine.
func (j *judge) drop(id record.TableID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.accused, id)
	delete(j.tried, id)
	j.evidence.forget(id)
}

// chargeEvery is how long a quarantine that was written is waited for.
const chargeEvery = time.Second

// tooSoon reports whether a quarantine was written just now; else it is from now on.
func (j *judge) tooSoon(id record.TableID, now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if was, ok := j.tried[id]; ok && now.Sub(was).Abs() < chargeEvery {
		return true
	}
	j.tried[id] = now
	return false
}

// settle is what a cell of a table shows. An error wraps topology.ErrUnsupported where
// this node refuses the table, or topology.ErrQuarantined where its function does not
// return and no quarantine says yet what is shown instead.
func (j *judge) settle(set *tableSet, t *table, c record.Cell, kept []record.Version) (conflict.Settled, error) {
	switch q := set.held[t.id]; {
	case t.refusal != nil:
		return conflict.Settled{}, t.refusal
	case len(kept) == 0:
		return conflict.Settled{}, nil
	case !t.custom():
		return t.shows.Settle(c, kept), nil
	case q != nil:
		j.look(set)
		return conflict.Fallback(kept, fmt.Errorf("%w: table %s: %v", topology.ErrQuarantined, t.name, q)), nil
	case len(kept) == 1:
		return t.shows.Settle(c, kept), nil
	}
	if err := j.suspect(t); err != nil {
		return conflict.Settled{}, err
	}
	return j.ask(set, t, c, kept)
}

// decide is settle on the loop, which no function may hold up: one that is slow has the
// decision refused, and is asked again elsewhere.
func (j *judge) decide(set *tableSet, t *table, c record.Cell, kept []record.Version) (conflict.Settled, error) {
	if !t.custom() || len(kept) < 2 || set.held[t.id] != nil || j.suspect(t) != nil {
		return j.settle(set, t, c, kept)
	}
	s, ok := j.within(min(decideMax, j.e.o.FoldTimeMax), t, c, kept)
	if ok {
		return s, nil
	}
	j.doubt(t)
	j.meet(c)
	return conflict.Settled{}, fmt.Errorf("%w: %s of table %s takes longer than %v, and no decision waits for it", topology.ErrUnavailable, t.resolver, t.name, decideMax)
}

// decideMax is how long a decision waits for a function.
const decideMax = 100 * time.Millisecond

func (j *judge) doubt(t *table) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.hung[t.id] == nil {
		j.hung[t.id] = &hang{why: t.resolver + " is slow, and is being asked again", doubt: true}
	}
}

// doubted reports whether a function is to be asked again, and clears it if it has
// answered.
func (j *judge) doubted(t *table, answered bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.hung[t.id]
	yes := h != nil && h.doubt
	if yes && answered {
		delete(j.hung, t.id)
	}
	return yes
}

// within asks a function, and reports whether it has answered in time.
func (j *judge) within(limit time.Duration, t *table, c record.Cell, kept []record.Version) (conflict.Settled, bool) {
	answer := make(chan conflict.Settled, 1)
	c = c.Clone()
	copies := clones(kept)
	go func() { answer <- t.shows.Settle(c, copies) }() // one that never returns is not asked again
	clock := time.NewTimer(limit)
	defer clock.Stop()
	select {
	case s := <-answer:
		return s, true
	case <-clock.C:
		return conflict.Settled{}, false
	}
}

// ask asks a function, and waits no longer for it than the options say. What a clock
// says here decides nothing that sites might differ in: only that one of them asks for a
// quarantine, which is then the same for all.
func (j *judge) ask(set *tableSet, t *table, c record.Cell, kept []record.Version) (conflict.Settled, error) {
	if s, ok := j.within(j.e.o.FoldTimeMax, t, c, kept); ok {
		return s, nil
	}
	if now := j.e.machine.tables.known.Load(); now.held[t.id] != nil || now.freed[t.id] != set.freed[t.id] {
		return conflict.Settled{}, fmt.Errorf("%w: table %s was quarantined meanwhile", topology.ErrQuarantined, t.name)
	}
	why := fmt.Sprintf("%s did not return within %v, of key %q", t.resolver, j.e.o.FoldTimeMax, c.Key)
	j.mu.Lock()
	if h := j.hung[t.id]; h == nil || h.doubt {
		j.hung[t.id] = &hang{why: why}
	}
	j.mu.Unlock()
	j.accuse(set, t, why)
	return conflict.Settled{}, j.suspect(t)
}

func clones(vs []record.Version) []record.Version {
	out := make([]record.Version, len(vs))
	for i, v := range vs {
		out[i] = v
		out[i].Value = append([]byte(nil), v.Value...)
	}
	return out
}

// suspect is why a function is not asked again by this process, nil if it may be.
func (j *judge) suspect(t *table) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	h := j.hung[t.id]
	if h == nil {
		return nil
	}
	if h.held {
		delete(j.hung, t.id) // somebody has released it
		return nil
	}
	return fmt.Errorf("%w: table %s: %s; its leader quarantines it, and then the last writer is shown", topology.ErrQuarantined, t.name, h.why)
}

// look notes which of the tables that are suspect are quarantined: who finds one that is
// not any more knows that it was released.
func (j *judge) look(set *tableSet) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, h := range j.hung {
		h.held = h.held || set.held[id] != nil
	}
}
