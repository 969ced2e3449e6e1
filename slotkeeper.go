package triad

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// slotKeeper holds the log back for slots, from what this node's own store shows of
// them; where it leads it drops those that hold back more than they may.
type slotKeeper struct {
	*Node
	cells topology.Store
	at    uint64 // what the system table's changes were when all was read
	read  bool

	mu  sync.Mutex // guards all; a leaf
	all []Slot
}

// need returns the first LSN that a slot within its budget needs; end+1 if none
// does. What is beyond its budget no node keeps, whether or not there is a leader
// to say so.
func (k *slotKeeper) need(ctx context.Context) (record.LSN, error) {
	if err := k.look(); err != nil {
		return 0, err
	}
	end := k.log.Bounds().End
	need := end + 1
	leads := k.engine.Status().Role == topology.RoleLeader
	for _, s := range k.known() {
		switch {
		case !s.Dropped.IsZero():
		case k.behind(&s, end) <= s.Bytes:
			need = min(need, s.Token.LSN+1)
		case leads:
			if err := k.drop(ctx, s.Name, end); err != nil {
				return 0, err
			}
		}
	}
	return need, nil
}

// behind is how much of the log comes after a slot, in bytes.
func (k *slotKeeper) behind(s *Slot, end record.LSN) uint64 {
	return k.log.Offset(end) - k.log.Offset(min(s.Token.LSN, end))
}

func (k *slotKeeper) known() []Slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all
}

// look reads the slots, if the system table was changed since.
func (k *slotKeeper) look() error {
	at := k.catalogue.changes.Load()
	if k.read && k.at == at {
		return nil
	}
	view, err := k.cells.Snapshot()
	if err != nil {
		return err
	}
	var all []Slot
	from := record.Cell{Table: record.TableSystem, Key: []byte(slotKeyPrefix)}
	for e, serr := range view.Scan(from, record.Cell{Table: record.TableSystem, Key: []byte(slotKeyEnd)}) {
		var s Slot
		if err = serr; err == nil {
			s, err = slotOf(e)
		}
		if err != nil {
			break
		}
		all = append(all, s)
	}
	if err := errors.Join(err, view.Close()); err != nil {
		return fmt.Errorf("slots: %w", err)
	}
	k.at, k.read = at, true
	k.mu.Lock()
	k.all = all
	k.mu.Unlock()
	return nil
}

// slotOf reads the row of a slot from its cell.
func slotOf(e topology.Edit) (Slot, error) {
	var st record.State
	if err := record.DecodeState(append([]byte(nil), e.State...), &st); err != nil {
		return Slot{}, err
	}
	if len(st.Siblings) != 1 || st.Siblings[0].Absent {
		return Slot{}, fmt.Errorf("%q has %d values: %w", e.Key, len(st.Siblings), topology.ErrMalformed)
	}
	return call.DecodeSlot(strings.TrimPrefix(string(e.Key), slotKeyPrefix), st.Siblings[0].Value)
}

// drop drops a slot loudly, unless its consumer has moved it meanwhile.
func (k *slotKeeper) drop(ctx context.Context, name string, end record.LSN) error {
	ctx, cancel := context.WithTimeout(ctx, slotAckWait)
	defer cancel()
	s, dot, err := k.row(ctx, name)
	if err != nil || dot.Seq == 0 || !s.Dropped.IsZero() || k.behind(&s, end) <= s.Bytes {
		return err
	}
	s.Dropped, s.DroppedAt = k.config.WallClock(), end
	if err = k.write(ctx, &s, dot, false); errors.Is(err, topology.ErrConditionFailed) {
		return nil // it was moved: the next trim looks again
	}
	if err != nil {
		return fmt.Errorf("slot %s could not be dropped: %w", name, err)
	}
	k.logger.Error("a slot was dropped: its consumer is too far behind, and must begin anew",
		"slot", name, "table", s.Table, "stood", s.Token.LSN, "end", end, "bytes", k.behind(&s, end), "budget", s.Bytes)
	k.read = false
	return k.look() // so that the status says so at once
}

// warnings tell of slots that were dropped and are not gone.
func (k *slotKeeper) warnings() (all []string) {
	for _, s := range k.known() {
		if err := goneSlot(&s); err != nil {
			all = append(all, fmt.Sprintf("slot %s: %v", s.Name, err))
		}
	}
	return all
}
