package singleleader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

const (
	expiryBatch = 256 // keys that one record removes
	expiryRetry = time.Second
	noExpiry    = math.MaxUint64
)

// expiries removes what is due, on the leader. Followers never do by their own
// clock: a key is gone when its removal is in the log.
type expiries struct {
	e    *engine
	kick chan struct{}
	one  gate

	mu   sync.Mutex
	next version.Timestamp // the earliest entry that is known of; 0: to be looked for
}

func newExpiries(e *engine) *expiries {
	return &expiries{e: e, kick: make(chan struct{}, 1), one: newGate()}
}

// note hears of an entry that the store has.
func (x *expiries) note(at version.Timestamp) {
	x.mu.Lock()
	earlier := at < x.next
	if earlier {
		x.next = at
	}
	x.mu.Unlock()
	if earlier {
		x.wake()
	}
}

// wake makes run look at the clock again. It never blocks.
func (x *expiries) wake() {
	select {
	case x.kick <- struct{}{}:
	default:
	}
}

// due reports whether something may be, and when to ask again if not.
func (x *expiries) due() (bool, time.Duration) {
	x.mu.Lock()
	next := x.next
	x.mu.Unlock()
	if next == noExpiry {
		return false, time.Hour
	}
	wait := x.e.env.Clock.Until(next)
	return wait <= 0, wait
}

func (x *expiries) run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-x.kick:
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		t.Reset(x.round(ctx))
	}
}

// round removes what is due, and returns when to look again.
func (x *expiries) round(ctx context.Context) time.Duration {
	if !x.e.leads.Load() {
		return time.Hour // the start of a term wakes us
	}
	if err := x.sweep(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, topology.ErrNotLeader) {
			x.e.log.Warn("expired keys were not removed", "err", err)
		}
		return expiryRetry
	}
	_, wait := x.due()
	return max(wait, time.Millisecond)
}

// sweep removes what is due. It returns once that shows here.
func (x *expiries) sweep(ctx context.Context) error {
	if due, _ := x.due(); !due {
		return nil
	}
	if err := x.one.enter(ctx); err != nil {
		return err
	}
	defer x.one.leave()
	for {
		due, err := x.look()
		if err != nil || len(due) == 0 {
			return err
		}
		us := []topology.Update{removal(due)}
		x.e.Update(ctx, us, topology.WriteOptions{Durability: topology.Applied})
		if us[0].Err != nil {
			x.note(1) // look for it again
			return us[0].Err
		}
	}
}

// look returns the first entries that are due, and notes when the next one is.
func (x *expiries) look() (due []record.Cell, err error) {
	x.mu.Lock()
	x.next = noExpiry // what is applied from here on is noted
	x.mu.Unlock()
	s, err := x.e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := x.e.env.Clock.Now()
	for ed, err := range s.Scan(record.Cell{Table: record.TableExpiry}, record.Cell{Table: record.TableExpiry + 1}) {
		if err == nil && len(ed.Key) != core.ExpiryKeyBytes {
			err = fmt.Errorf("%w: an entry of %d bytes in the table of expiries", topology.ErrMalformed, len(ed.Key))
		}
		if err != nil {
			return nil, err
		}
		if at := version.Timestamp(binary.BigEndian.Uint64(ed.Key)); at > now || len(due) == expiryBatch {
			x.note(at)
			break
		}
		due = append(due, ed.Cell.Clone())
	}
	return due, nil
}

// removal is the update that removes entries, and their keys where they are due:
// that, whoever sees them does.
func removal(entries []record.Cell) topology.Update {
	u := topology.Update{Reads: make([]topology.CellRange, len(entries))}
	for i, c := range entries {
		u.Reads[i].Table = record.TableID(binary.BigEndian.Uint32(c.Key[8:]))
		u.Reads[i].Key = c.Field
		u.Bytes += 2 * (len(c.Key) + len(c.Field))
	}
	u.Decide = func(s topology.Sight) ([]record.Mutation, error) {
		ms := make([]record.Mutation, len(entries))
		for i, c := range entries {
			s.Cells(i)
			ms[i] = record.Mutation{Table: c.Table, Key: c.Key, Field: c.Field, Op: record.OpDelete, Kind: record.KindBytes}
		}
		return ms, nil
	}
	return u
}

// unexpired reports whether a key that was read here may be shown: on the leader,
// one that is due may not, and is removed before its reader is answered.
func (rd *reader) unexpired(ctx context.Context, table record.TableID, key []byte, r *topology.Reading, o *topology.ReadOptions) (bool, error) {
	if !fresh(r.Guarantee) || !rd.e.leads.Load() || len(r.Cells) == 0 || table == record.TableExpiry {
		return true, nil
	}
	head := &r.Cells[0].Version
	if len(r.Cells[0].Field) > 0 {
		if o.Whole {
			return true, nil // a key without a head does not expire
		}
		b, err := rd.e.env.Store.Get(record.Cell{Table: table, Key: key})
		if err != nil {
			return false, err
		}
		if head, err = core.Stored(b); err != nil || head == nil {
			return err == nil, err
		}
	}
	if head.Expires == 0 || head.Expires > rd.e.env.Clock.Now() {
		return true, nil
	}
	us := []topology.Update{{
		Reads:  []topology.CellRange{{Cell: record.Cell{Table: table, Key: key}}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) { s.Cells(0); return nil, nil },
	}}
	rd.e.Update(ctx, us, topology.WriteOptions{Durability: topology.Applied})
	return false, us[0].Err
}
