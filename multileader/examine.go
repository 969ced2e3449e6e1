package multileader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A leader asks the function of a table about every set of concurrent writes that its
// site comes to, twice, away from what waits, and tells the leaders of other sites what
// came of it (rule M5). What differs, there or here, is the function's end until a
// person has looked: its table is quarantined, in all sites.

// examineMax is how many cells wait to be asked about: of more the oldest are not.
const examineMax = 4096

// meet notes that concurrent writes stand in a cell of a table with a function, which it
// keeps. The machine calls it, and is not held up.
func (j *judge) meet(c record.Cell) {
	j.mu.Lock()
	if j.todo = append(j.todo, c); len(j.todo) > examineMax {
		j.todo = append(j.todo[:0], j.todo[len(j.todo)-examineMax:]...)
	}
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run examines until ctx ends.
func (j *judge) run(ctx context.Context) error {
	for {
		select {
		case <-j.wake:
		case <-ctx.Done():
			return nil
		}
		j.mu.Lock()
		todo := j.todo
		j.todo = nil
		j.mu.Unlock()
		for _, c := range todo {
			if ctx.Err() != nil {
				return nil
			}
			if err := j.examine(c); err != nil {
				return err
			}
		}
	}
}

// examine asks about what a cell holds now, if this node leads its site.
func (j *judge) examine(c record.Cell) error {
	set := j.e.machine.tables.known.Load()
	t := set.of(c.Table)
	doubted := j.doubted(t, false)
	defer j.doubted(t, true) // who has not answered is accused by then
	if !t.custom() || set.held[t.id] != nil || j.suspect(t) != nil && !doubted || !j.e.stats.leading() {
		return nil
	}
	b, err := j.e.cells.Get(c)
	if err != nil || b == nil {
		return err
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if len(s.Siblings) < 2 {
		return nil
	}
	first, err := j.ask(set, t, c, s.Siblings)
	if err != nil {
		return nil // it is accused of that already
	}
	second, err := j.ask(set, t, c, s.Siblings)
	if err != nil {
		return nil
	}
	of, again := conflict.EvidenceOf(s.Siblings, first), conflict.EvidenceOf(s.Siblings, second)
	if of.Result != again.Result {
		j.accuse(set, t, fmt.Sprintf("%s made two things of the same writes of key %q, asked twice in site %s", t.resolver, c.Key, j.e.site))
		return nil
	}
	if first.Fault != nil {
		j.fault(t, first.Fault)
	}
	j.compare(set, t, finding{table: t.id, in: inputsOf(c, of.Inputs, set.freed[t.id]), out: of.Result, site: j.e.site})
	return nil
}

// compare holds this site's finding against those of others.
func (j *judge) compare(set *tableSet, t *table, f finding) {
	j.mu.Lock()
	other, differs := j.evidence.found(f)
	j.mu.Unlock()
	if differs {
		j.accuse(set, t, fmt.Sprintf("%s made of the same writes one thing in site %s and another in site %s", t.resolver, f.site, other.site))
	}
}

// hear takes what another site found.
func (j *judge) hear(fs []finding) {
	set := j.e.machine.tables.known.Load()
	for _, f := range fs {
		j.mu.Lock()
		own, differs := j.evidence.told(f)
		j.mu.Unlock()
		if t := set.of(f.table); differs && t.custom() && set.held[t.id] == nil {
			j.accuse(set, t, fmt.Sprintf("%s made of the same writes one thing in site %s and another in site %s", t.resolver, own.site, f.site))
		}
	}
}

// fault counts that a function failed, and tells a person so once.
func (j *judge) fault(t *table, err error) {
	j.mu.Lock()
	first := j.faults[t.name] == 0
	j.faults[t.name]++
	j.mu.Unlock()
	if first {
		j.e.log.Warn("a resolver fails: the last writer is shown of such keys, in every site alike", "table", t.name, "resolver", t.resolver, "err", err)
	}
}

// accuse asks for the quarantine of a table, for what was found out while it was as set
// says: if it was quarantined meanwhile, and perhaps released, that is over.
func (j *judge) accuse(set *tableSet, t *table, why string) {
	e := j.e
	if now := e.machine.tables.known.Load(); now.held[t.id] != nil || now.freed[t.id] != set.freed[t.id] {
		return
	}
	e.log.Error("a resolver can not be trusted", "table", t.name, "resolver", t.resolver, "why", why)
	j.mu.Lock()
	if _, again := j.accused[t.id]; !again {
		j.accused[t.id] = why
	}
	j.mu.Unlock()
	e.loop.post(j.prosecute)
}

// prosecute writes the quarantines that are asked for, where this node leads its site;
// on the loop. What fails is tried again at a later tick.
func (j *judge) prosecute() {
	e := j.e
	if c := e.reign.core; c == nil || !c.Open() {
		return
	}
	set := e.machine.tables.known.Load()
	for _, x := range j.charges() {
		if set.held[x.table] != nil {
			j.drop(x.table)
			continue
		}
		if j.tooSoon(x.table, e.env.Clock.Wall()) {
			continue
		}
		q := quarantine{site: e.site, why: x.why}
		w := &write{done: make(chan struct{}), own: true, durability: topology.Flushed, batch: record.Batch{Mutations: []record.Mutation{
			{Table: record.TableSystem, Key: quarantineKey(x.table), Op: record.OpPut, Kind: record.KindBytes, Value: q.encode()},
		}}}
		e.writer.accept([]*write{w})
	}
}
