package multileader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// lossesMax is how many conflicts one cut drops from the list.
const lossesMax = 1 << 14

// forgetLosses drops the conflicts before a place of the log.
func (m *machine) forgetLosses(view topology.Snapshot, before record.LSN) error {
	n := 0
	for e, err := range view.Scan(loserCell(0, 0), loserCell(before, 0)) {
		if err != nil {
			return err
		}
		if n++; n > lossesMax {
			return nil
		}
		bytes, err := lossWeight(&e)
		if err != nil {
			return err
		}
		m.meetings.dropped(bytes)
		m.edits = append(m.edits, topology.Edit{Cell: e.Cell.Clone()})
	}
	return nil
}

// weighLosses finds out how many bytes the list of a store takes.
func (m *machine) weighLosses(view topology.Snapshot) error {
	sum := uint64(0)
	for e, err := range view.Scan(loserCell(0, 0), record.Cell{Table: record.TableLosers + 1}) {
		if err != nil {
			return err
		}
		bytes, err := lossWeight(&e)
		if err != nil {
			return err
		}
		sum += uint64(bytes)
	}
	m.meetings.weigh(sum)
	return nil
}

func lossWeight(e *topology.Edit) (bytes int, err error) {
	var s record.State
	if err := record.DecodeState(e.State, &s); err != nil {
		return 0, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	for i := range s.Siblings {
		bytes += len(s.Siblings[i].Value)
	}
	return bytes, nil
}

// losersBefore returns where the list of conflicts begins that is kept: by age and by
// bytes, whichever is less. some says that there is something before it.
func (c *cutter) losersBefore(now time.Time) (at record.LSN, some bool) {
	e := c.e
	excess := e.machine.meetings.weight()
	excess -= min(excess, e.o.ConflictsBytesMax)
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return 0, false
	}
	n := 0
	var s record.State
	for ed, err := range view.Scan(loserCell(0, 0), record.Cell{Table: record.TableLosers + 1}) {
		if err = errors.Join(err, record.DecodeState(ed.State, &s)); err != nil || len(s.Siblings) != 1 || len(ed.Key) != lossBytes {
			break
		}
		at = record.LSN(binary.BigEndian.Uint64(ed.Key))
		bytes := uint64(len(s.Siblings[0].Value))
		if now.Sub(s.Siblings[0].Time.Time()) < e.o.ConflictsKept && excess == 0 {
			break
		}
		excess -= min(excess, bytes)
		if n++; n > lossesMax {
			break
		}
		some = true
		at++
	}
	return at, view.Close() == nil && some
}
