package triad

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Termed is an optional ability of an engine: its present term, cheap enough to
// be asked with every call. Without it the term is taken from Status a few times
// a second.
type Termed interface {
	Term() uint64
}

// Scattered is an optional ability of an engine: where several sites write and none
// orders the writes of the others, nothing may be numbered in turn.
type Scattered interface {
	Scattered()
}

// catalogue knows the tables. What it has read it keeps while it must be so: within
// one term, as a change of leader may rewind a definition that had not reached
// the new leader (S9), whose number may then be another table's; and until this
// node applies a change of the system table.
type catalogue struct {
	engine  topology.Engine
	slots   *slotKeeper              // which are rows of the system table, too
	changes atomic.Uint64            // of the system table, as this node has applied them
	awaited atomic.Pointer[[]string] // tables of the configuration that are not defined yet, by name; nil: all are

	mu    sync.RWMutex // guards what follows; a leaf
	seen  sighting     // in which known was read
	known map[string]definition
	term  uint64 // of an engine that is not Termed
}

// sighting is when a definition was read: it holds as long as neither changes.
type sighting struct{ term, changes uint64 }

const (
	createAttemptsMax = 16                    // of one definition, while others are made
	createPauseMin    = time.Millisecond      // after the first of them, doubled from there
	createPauseMax    = 50 * time.Millisecond // up to here
)

// lookup returns the definition of a table. What this node does not have is
// asked of the leader, unless local, and then is ErrNoTable.
func (c *catalogue) lookup(ctx context.Context, name string, local bool) (definition, error) {
	if name == DefaultTable {
		return defaultDefinition, nil
	}
	if d, ok := c.cached(name); ok {
		return d, nil
	}
	if !validTable(name) {
		return definition{}, fmt.Errorf("table %q: not a table's name: %w", name, topology.ErrNoTable)
	}
	d, err := c.read(ctx, name, topology.ReadAny)
	if errors.Is(err, topology.ErrNoTable) && !local {
		d, err = c.read(ctx, name, topology.ReadDefault)
	}
	return d, err
}

func (c *catalogue) cached(name string) (definition, bool) {
	c.now()
	c.mu.RLock()
	defer c.mu.RUnlock()
	d, ok := c.known[name]
	return d, ok
}

// now returns what a definition that is read from here on is kept with. It forgets
// what was read in another term, or before a change.
func (c *catalogue) now() sighting {
	at := sighting{changes: c.changes.Load()}
	t, termed := c.engine.(Termed)
	if termed {
		at.term = t.Term()
	}
	c.mu.RLock()
	if !termed {
		at.term = c.term
	}
	same := c.seen == at
	c.mu.RUnlock()
	if same {
		return at
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen != at {
		c.seen = at
		clear(c.known)
	}
	return at
}

// enterTerm tells the term of an engine that is not Termed.
func (c *catalogue) enterTerm(term uint64) {
	c.mu.Lock()
	c.term = term
	c.mu.Unlock()
	c.now()
}

// still reports whether d is what its name stands for, after what was read by it:
// only what this node has applied since can have changed that.
func (c *catalogue) still(ctx context.Context, d definition, at sighting) bool {
	if d.id < record.TableFirst || c.now() == at {
		return true
	}
	again, err := c.lookup(ctx, d.Name, true)
	return err == nil && again.id == d.id
}

// read reads a definition from the system table and keeps it.
func (c *catalogue) read(ctx context.Context, name string, g topology.Guarantee) (definition, error) {
	at := c.now()
	v, err := c.value(ctx, tableKey(name), g)
	if errors.Is(err, topology.ErrNotFound) {
		return definition{}, fmt.Errorf("table %s: %w", name, topology.ErrNoTable)
	}
	if err != nil {
		return definition{}, fmt.Errorf("the definition of table %s: %w", name, err)
	}
	d, err := decodeDefinition(name, v.Value)
	if err != nil {
		return definition{}, err
	}
	d.dot = v.Dot
	c.keep(at, d)
	return d, nil
}

// keep remembers a definition, if what it was read at still holds.
func (c *catalogue) keep(at sighting, d definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == at && c.changes.Load() == at.changes {
		c.known[d.Name] = d
	}
}

// value reads one cell of the system table.
func (c *catalogue) value(ctx context.Context, key []byte, g topology.Guarantee) (record.Version, error) {
	r, err := c.engine.Read(ctx, record.TableSystem, key, topology.ReadOptions{Guarantee: g})
	if err != nil {
		return record.Version{}, err
	}
	if len(r.Cells) != 1 {
		return record.Version{}, fmt.Errorf("%d values of %q: %w", len(r.Cells), key, topology.ErrMalformed)
	}
	return r.Cells[0].Version, nil
}

// create defines a table, unless it is defined so already. One that is defined
// otherwise is ErrConflict. It may end Unknown, like any write.
func (c *catalogue) create(ctx context.Context, t Table) (definition, error) {
	if err := t.check(); err != nil {
		return definition{}, notApplied(err)
	}
	if err := c.holds(t.Kind); err != nil {
		return definition{}, notApplied(fmt.Errorf("kind of %s: %w", t.Name, err))
	}
	if t.Name == DefaultTable {
		return defaultDefinition, nil
	}
	pause := createPauseMin
	for range createAttemptsMax {
		d, err := c.read(ctx, t.Name, topology.ReadDefault)
		if err == nil {
			return d, c.sameAs(t, d.Table)
		}
		if !errors.Is(err, topology.ErrNoTable) {
			return definition{}, notApplied(err)
		}
		want, digest, err := c.resolved(t)
		if err != nil {
			return definition{}, notApplied(err)
		}
		d, err = c.tryCreate(ctx, want, digest)
		if !errors.Is(err, topology.ErrConditionFailed) {
			return d, err
		}
		// Another definition was accepted, and shows once it is committed.
		select {
		case <-time.After(pause):
			pause = min(2*pause, createPauseMax)
		case <-ctx.Done():
			return definition{}, notApplied(fmt.Errorf("table %s: %w: %w", t.Name, topology.ErrTimeout, ctx.Err()))
		}
	}
	return definition{}, notApplied(fmt.Errorf("table %s: others defined tables at the same time, %d times: %w",
		t.Name, createAttemptsMax, topology.ErrOverloaded))
}

// holds refuses a kind in whose cells writes come together, where nobody leads and no
// resolver joins them: there the last writer would win.
func (c *catalogue) holds(k record.Kind) error {
	_, scattered := c.engine.(Scattered)
	_, settles := c.engine.(topology.Resolvers)
	if !scattered || settles || k == record.KindCounter || !kind.Joined(k) {
		return nil
	}
	return fmt.Errorf("%w: without a leader there are no tables of kind %s", topology.ErrUnsupported, KindName(k))
}

// tryCreate writes the definition with the next number, provided that neither
// the name nor the number has been taken meanwhile.
func (c *catalogue) tryCreate(ctx context.Context, t Table, digest []byte) (definition, error) {
	if _, ok := c.engine.(Scattered); ok {
		return c.createNamed(ctx, t, digest)
	}
	next := record.Cell{Table: record.TableSystem, Key: []byte(nextTableKey)}
	d := definition{Table: t, id: record.TableFirst}
	free := record.Condition{Cell: next, Absent: true}
	v, err := c.value(ctx, next.Key, topology.ReadDefault)
	switch {
	case err == nil:
		if d.id, err = decodeNext(v.Value); err != nil {
			return definition{}, notApplied(err)
		}
		free = record.Condition{Cell: next, Version: v.Dot}
	case !errors.Is(err, topology.ErrNotFound):
		return definition{}, notApplied(fmt.Errorf("the next table's number: %w", err))
	}
	if d.id >= record.TableFirst+tablesMax {
		return definition{}, notApplied(fmt.Errorf("table %s: %d were defined already: %w", t.Name, tablesMax, topology.ErrTooLarge))
	}
	cell := record.Cell{Table: record.TableSystem, Key: tableKey(t.Name)}
	_, err = c.engine.Write(ctx, record.Batch{
		Mutations: []record.Mutation{
			{Table: cell.Table, Key: cell.Key, Op: record.OpPut, Kind: record.KindBytes, Value: d.encode()},
			{Table: next.Table, Key: next.Key, Op: record.OpPut, Kind: record.KindBytes, Value: encodeNext(d.id + 1)},
		},
		Conditions: []record.Condition{{Cell: cell, Absent: true}, free},
	}, topology.WriteOptions{Durability: topology.Applied})
	if err != nil {
		return definition{}, err
	}
	return d, nil
}

// createNamed writes the definition with a number that comes from its name, so that
// sites which define a table at the same time mean the same one.
func (c *catalogue) createNamed(ctx context.Context, t Table, digest []byte) (definition, error) {
	d := definition{Table: t, id: kind.Named(t.Name), digest: digest}
	all, err := c.list(ctx, topology.ReadOptions{})
	if err != nil {
		return definition{}, notApplied(err)
	}
	for _, other := range all {
		if other.Name != t.Name && other.Name != DefaultTable && kind.Named(other.Name) == d.id {
			return definition{}, notApplied(fmt.Errorf("table %s: its name comes to the number of table %s; name it otherwise: %w", t.Name, other.Name, topology.ErrConflict))
		}
	}
	_, err = c.engine.Write(ctx, record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: tableKey(t.Name), Op: record.OpPut, Kind: record.KindBytes, Value: d.encode()},
	}}, topology.WriteOptions{Durability: topology.Applied})
	return d, err
}

// Contradiction is the refusal of a table that is defined otherwise. It is
// topology.ErrConflict.
type Contradiction struct {
	Asked, Defined Table
}

func (e *Contradiction) Error() string {
	return fmt.Sprintf("table %v was asked for, and is defined as %v: a definition never changes", e.Asked, e.Defined)
}

func (e *Contradiction) Unwrap() error { return topology.ErrConflict }

// contradicts returns a Contradiction unless t is what is defined.
func (t Table) contradicts(defined Table) error {
	if t == defined {
		return nil
	}
	return notApplied(&Contradiction{Asked: t, Defined: defined})
}

// list returns all tables, by name.
func (c *catalogue) list(ctx context.Context, o topology.ReadOptions) ([]Table, error) {
	s, ok := c.engine.(topology.Scanner)
	if !ok {
		return nil, notApplied(fmt.Errorf("this topology reads no ranges: %w", topology.ErrUnsupported))
	}
	tables := []Table{defaultDefinition.Table}
	for cell, err := range s.Scan(ctx, record.TableSystem, []byte(tableKeyPrefix), []byte(tableKeyEnd), o) {
		if err != nil {
			return nil, err
		}
		d, err := decodeDefinition(string(cell.Key[len(tableKeyPrefix):]), cell.Value)
		if err != nil {
			return nil, err
		}
		tables = append(tables, d.Table)
	}
	sortTables(tables)
	return tables, nil
}
