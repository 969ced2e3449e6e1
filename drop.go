package triad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// drop takes a definition away. From then on nobody finds the table's keys, whose
// number is never given again; the leader removes them afterwards, in bounded
// batches, and a mark says which are left. It may end Unknown, like any write.
func (c *catalogue) drop(ctx context.Context, name string) error {
	if name == DefaultTable {
		return notApplied(fmt.Errorf("table %s always exists: %w", DefaultTable, topology.ErrConflict))
	}
	if !validTable(name) {
		return notApplied(fmt.Errorf("table %q: not a table's name: %w", name, topology.ErrNoTable))
	}
	if _, ok := c.engine.(Scattered); ok {
		return notApplied(fmt.Errorf("table %s: where several sites write, a table cannot be dropped: another site may be writing to it, and its number comes from its name: %w", name, topology.ErrUnsupported))
	}
	d, err := c.read(ctx, name, topology.ReadDefault)
	if err != nil {
		return notApplied(err)
	}
	cell := record.Cell{Table: record.TableSystem, Key: tableKey(name)}
	_, err = c.engine.Write(ctx, record.Batch{
		Mutations: []record.Mutation{
			removal(cell.Table, cell.Key),
			{Table: cell.Table, Key: droppedKey(d.id), Op: record.OpPut, Kind: record.KindBytes, Value: encodeDropped(name)},
		},
		Conditions: []record.Condition{{Cell: cell, Version: d.dot}},
	}, topology.WriteOptions{Durability: topology.Applied})
	if errors.Is(err, topology.ErrConditionFailed) {
		return notApplied(fmt.Errorf("table %s: it was dropped at the same time: %w", name, topology.ErrNoTable))
	}
	return err
}

const (
	sweepEvery    = time.Second // while the leader looks whether anything was dropped
	sweepPause    = time.Minute // after which no write is on its way that found the table before its drop
	sweepKeysMax  = 1 << 10     // removed by one record
	sweepBytesMax = 1 << 20     // of their names
	sweepCellsMax = 1 << 13     // looked at for one record
)

// sweeper removes what dropped tables have left, where this node leads.
type sweeper struct {
	*Node
	cells topology.Store
	pause time.Duration
	clean map[record.TableID]time.Time // since when nothing was found

	found []dropped // what the marks said when the system table had changed so often
	at    uint64
	read  bool
}

func (n running) sweep(ctx context.Context) error {
	select {
	case <-n.gate.open:
	case <-ctx.Done():
		return nil
	}
	s := sweeper{Node: n.Node, cells: n.store, pause: sweepPause, clean: map[record.TableID]time.Time{}}
	var told string // the last failure that was told
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := s.pass(ctx); err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			n.logger.Warn("what a dropped table held is not all removed yet", "err", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// pass removes what is there of every dropped table, and the mark of one in which
// nothing was found for the pause. It reads this node's own store: what that does
// not show yet, a later pass finds.
func (s *sweeper) pass(ctx context.Context) error {
	if s.engine.Status().Role != topology.RoleLeader {
		clear(s.clean)
		return nil
	}
	if err := s.look(); err != nil {
		return err
	}
	for _, m := range s.found {
		removed, err := s.empty(ctx, m.id)
		if err != nil {
			return fmt.Errorf("table %s (number %d): %w", m.name, m.id, err)
		}
		since, seen := s.clean[m.id]
		if removed > 0 || !seen {
			since = time.Now()
			s.clean[m.id] = since
		}
		if time.Since(since) < s.pause {
			continue
		}
		if err := s.remove(ctx, removal(record.TableSystem, droppedKey(m.id))); err != nil {
			return fmt.Errorf("the mark of table %s (number %d): %w", m.name, m.id, err)
		}
		delete(s.clean, m.id)
		s.logger.Info("a dropped table is gone", "table", m.name, "number", m.id)
	}
	return nil
}

// look reads the marks if the system table was changed since. A view of the store
// brings all that is new in it to disk, which a pass that finds nothing shall not
// cost.
func (s *sweeper) look() error {
	at := s.catalogue.changes.Load()
	if s.read && s.at == at {
		return nil
	}
	marks, err := s.marks()
	if err != nil {
		return err
	}
	s.found, s.at, s.read = marks, at, true
	return nil
}

// dropped is a table of which something may be left.
type dropped struct {
	id   record.TableID
	name string
}

// marks returns the dropped tables, of which there may be as many as were ever
// defined.
func (s *sweeper) marks() (marks []dropped, err error) {
	from := record.Cell{Table: record.TableSystem, Key: []byte(droppedPrefix)}
	to := record.Cell{Table: record.TableSystem, Key: []byte(droppedEnd)}
	err = s.scan(from, to, func(e topology.Edit) (more bool, err error) {
		var st record.State
		if err := record.DecodeState(e.State, &st); err != nil {
			return false, err
		}
		for _, v := range st.Siblings {
			if v.Absent {
				continue
			}
			m, err := decodeDropped(e.Key, v.Value)
			if err != nil {
				return false, err
			}
			marks = append(marks, m)
		}
		return true, nil
	})
	return marks, err
}

// scan calls f with cells of the store until it says that it has enough.
func (s *sweeper) scan(from, to record.Cell, f func(topology.Edit) (more bool, err error)) error {
	view, err := s.cells.Snapshot()
	if err != nil {
		return err
	}
	defer func() { _ = view.Close() }() // it was only read
	for e, err := range view.Scan(from, to) {
		more := false
		if err == nil {
			more, err = f(e)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func removal(table record.TableID, key []byte) record.Mutation {
	return record.Mutation{Table: table, Key: key, Op: record.OpDelete, Kind: record.KindBytes}
}

func (s *sweeper) remove(ctx context.Context, ms ...record.Mutation) error {
	_, err := s.engine.Write(ctx, record.Batch{Mutations: ms}, topology.WriteOptions{Durability: topology.Applied})
	return err
}

// empty removes the keys of a table, a bounded batch a record, and returns how
// many there were.
func (s *sweeper) empty(ctx context.Context, id record.TableID) (removed int, err error) {
	from := record.Cell{Table: id}
	for more := true; more; {
		var ms []record.Mutation
		if ms, more, err = s.some(from); err != nil || len(ms) == 0 {
			return removed, err
		}
		if err := s.remove(ctx, ms...); err != nil {
			return removed, err
		}
		removed += len(ms)
		from.Key = append(bytes.Clone(ms[len(ms)-1].Key), 0)
	}
	return removed, nil
}

// some returns the removal of the next keys of a table, as many as one record is
// to remove, and whether there may be more.
func (s *sweeper) some(from record.Cell) (ms []record.Mutation, more bool, err error) {
	size, cells := 0, 0
	err = s.scan(from, record.Cell{Table: from.Table + 1}, func(e topology.Edit) (bool, error) {
		if cells++; len(ms) == 0 || !bytes.Equal(ms[len(ms)-1].Key, e.Key) {
			ms = append(ms, removal(e.Table, bytes.Clone(e.Key)))
			size += len(e.Key)
		}
		more = len(ms) == sweepKeysMax || size >= sweepBytesMax || cells >= sweepCellsMax
		return !more, nil
	})
	return ms, more, err
}
