package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// outgoing is a snapshot half sent. It is kept over a broken connection, so
// that the receiver can go on where it was.
type outgoing struct {
	id      string
	snap    topology.Snapshot
	history topology.History
	until   time.Time
}

func (s *Sender) drop() error {
	if s.snap == nil {
		return nil
	}
	err := s.snap.snap.Close()
	s.snap = nil
	return err
}

// take opens a snapshot, or goes on with the one that is held.
func (s *Sender) take() (*outgoing, error) {
	now := time.Now()
	if s.snap != nil && (now.After(s.snap.until) || s.snap.snap.Applied() < s.hurt) {
		if err := s.drop(); err != nil {
			return nil, err
		}
	}
	if s.snap == nil {
		snap, err := s.c.Store.Snapshot()
		if err != nil {
			return nil, err
		}
		if snap.Applied() < s.hurt {
			err := fmt.Errorf("the log is damaged at entry %d, and the store has only up to %d: %w", s.hurt, snap.Applied(), topology.ErrQuarantined)
			return nil, errors.Join(err, snap.Close())
		}
		s.snap = &outgoing{
			id:      fmt.Sprintf("t%d-l%d-%d", s.c.Begin.Term, snap.Applied(), now.UnixMilli()),
			snap:    snap,
			history: s.c.Log.History().Until(snap.Applied()),
		}
	}
	s.snap.until = now.Add(s.c.Limits.SnapshotHold)
	return s.snap, nil
}

// snapshot sends the state at one LSN; the log is needed from there on.
func (v *conversation) snapshot(ctx context.Context) error {
	o, err := v.take()
	if err != nil {
		return err
	}
	v.need.Store(uint64(o.snap.Applied() + 1))
	err = v.send(&Offer{Term: v.c.Begin.Term, ID: o.id, LSN: o.snap.Applied(), History: o.history})
	if err != nil {
		return err
	}
	var m Mark
	if err := v.expectMark(&m); err != nil {
		return err
	}
	if err := v.chunks(ctx, o, m); err != nil {
		return err
	}
	return v.drop()
}

func (v *conversation) expectMark(m *Mark) error {
	return v.expect(kindResume, (*Resume)(m))
}

// Resume is a Mark as a message of its own: how far the receiver came last time.
type Resume Mark

func (m *Resume) encode(w *pack.Writer) {
	w.Reset(append(w.Bytes()[:0], kindResume))
	putMark(w, Mark(*m))
}
func (m *Resume) decode(r *pack.Reader) { *m = Resume(getMark(r)) }

// chunks sends the cells after m.
func (v *conversation) chunks(ctx context.Context, o *outgoing, m Mark) error {
	c := Chunk{Mark: m}
	bytes, arena := 0, []byte(nil)
	keep := func(b []byte) []byte {
		at := len(arena)
		arena = append(arena, b...)
		return arena[at:len(arena):len(arena)]
	}
	flush := func() error {
		if n := len(c.Edits); n > 0 {
			c.Mark.Last = c.Edits[n-1].Cell
		}
		if err := v.send(&c); err != nil {
			return err
		}
		o.until = time.Now().Add(v.c.Limits.SnapshotHold)
		err := v.throttle(ctx, bytes)
		c.Edits, bytes, arena = c.Edits[:0], 0, arena[:0]
		return err
	}
	for e, err := range o.snap.Scan(m.Next(), record.Cell{Table: math.MaxUint32}) {
		if err != nil {
			return err
		}
		e = topology.Edit{Cell: record.Cell{Table: e.Table, Key: keep(e.Key), Field: keep(e.Field)}, State: keep(e.State)}
		c.Edits = append(c.Edits, e)
		c.Mark = c.Mark.With(e)
		bytes += len(e.Key) + len(e.Field) + len(e.State)
		if bytes >= v.c.Limits.ChunkBytesMax {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(c.Edits) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	c.Done = true
	return flush()
}

// throttle holds the snapshot to its rate.
func (v *conversation) throttle(ctx context.Context, bytes int) error {
	rate := v.c.Limits.SnapshotBytesMax
	if rate == 0 || bytes == 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(float64(bytes) / float64(rate) * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Next returns the least cell behind what m has counted.
func (m Mark) Next() record.Cell {
	if m.Count == 0 {
		return record.Cell{}
	}
	c := m.Last
	return record.Cell{Table: c.Table, Key: c.Key, Field: append(append([]byte(nil), c.Field...), 0)}
}

// With returns the mark with e counted and summed; Last stays as it is.
func (m Mark) With(e topology.Edit) Mark {
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(e.Table))
	m.Sum = crc32.Update(m.Sum, castagnoli, n[:])
	for _, p := range [...][]byte{e.Key, e.Field, e.State} {
		binary.LittleEndian.PutUint32(n[:], uint32(len(p)))
		m.Sum = crc32.Update(m.Sum, castagnoli, n[:])
		m.Sum = crc32.Update(m.Sum, castagnoli, p)
	}
	m.Count++
	return m
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errSnapshot says that a snapshot did not arrive as it was sent; it is begun
// anew (B37).
var errSnapshot = errors.New("the snapshot did not arrive as it was sent")
