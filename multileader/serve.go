package multileader

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Limits of a snapshot that a peer takes.
const (
	partBytesMax  = 1 << 20 // of the cells of one part; one cell may be longer
	partCellsMax  = 1024
	siblingsAlone = 8 << 20 // a longer state travels a version a part
	// SnapshotKeptDefault is for how long a snapshot is kept that nobody goes on with.
	SnapshotKeptDefault = 5 * time.Minute
)

// served is the snapshot that a link's peer takes, by parts, of a view of this node's
// store. The link's reader owns it.
type served struct {
	l    *link
	id   uint64
	view topology.Snapshot
	used time.Time
	enc  *record.Encoder

	keep atomic.Uint64 // the first entry of the log from which the peer goes on; 0: there is none
}

// ids names snapshots: by the time, so that those of another leader, or of an earlier
// life, are not taken for one another.
func (s *served) begin() (*record.Record, error) {
	s.close()
	e := s.l.e
	view, err := e.cells.Snapshot()
	if err != nil {
		return nil, err
	}
	p, err := readPlace(view, cellAt())
	if err == nil && len(p.Marks) == 0 {
		err = fmt.Errorf("%w: the log holds records, and the store none", topology.ErrFailed)
	}
	if err != nil {
		return nil, errors.Join(err, view.Close())
	}
	at, err := before(e.env.Store, p.LSN, func(*place) bool { return true })
	if err != nil {
		return nil, errors.Join(err, view.Close())
	}
	s.keep.Store(uint64(at.LSN) + 1)
	s.id, s.view, s.used, s.enc = uint64(e.env.Clock.Now()), view, time.Now(), record.NewEncoder()
	r := core.Begin(s.id, core.Site(e.site), p.Time, p.Marks, apart(e, string(s.l.peer))...)
	return &r, nil
}

// close lets the view go, and the log that the peer would need.
func (s *served) close() {
	s.keep.Store(0)
	if s.view != nil {
		_ = s.view.Close()
		s.view = nil
	}
}

// idle lets a snapshot go that nobody goes on with.
func (s *served) idle(now time.Time) {
	if s.view != nil && now.Sub(s.used) > s.l.e.o.SnapshotKept {
		s.l.e.log.Info("a snapshot is not kept any longer", "peer", s.l.peer)
		s.close()
	}
}

// answer returns the step of a snapshot that a peer asks for: the first of a new one, the
// one that begins at x.At, or none, where that snapshot is not kept any more.
func (s *served) answer(ctx context.Context, x *core.Effect) (*core.Message, error) {
	m := &core.Message{Kind: core.MsgPart, First: x.First}
	var r *record.Record
	var err error
	switch {
	case x.First == 0:
		r, err = s.begin()
	case s.view == nil || x.First != s.id:
		return m, nil
	default:
		at, merr := decodeSpot(x.At)
		if merr != nil {
			return m, nil // nothing of this snapshot begins there
		}
		r, err = s.part(ctx, at, x.At)
	}
	if err != nil {
		return nil, err
	}
	s.used = time.Now()
	enc := record.NewEncoder()
	b := enc.Append(nil, r)
	m.First, m.Body = s.id, record.AppendEntry(nil, record.Entry{Sum: record.Sum(b), Bytes: b})
	return m, nil
}

// spotAt is how far a peer has a snapshot: all before a cell, and of that so many
// versions, if it travels by versions.
type spotAt struct {
	cell     record.Cell
	versions int
	behind   bool // all of the cell
}

func (a spotAt) encode() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(a.versions))
	if b[0] = 0; a.behind {
		b[0] = 1
	}
	return append(b, encodeCell(a.cell)...)
}

func decodeSpot(b []byte) (a spotAt, err error) {
	if len(b) == 0 {
		return a, nil
	}
	if len(b) < 4 {
		return a, fmt.Errorf("%w: a place in a snapshot of %d bytes", topology.ErrMalformed, len(b))
	}
	a.behind, a.versions = b[0] == 1, int(binary.BigEndian.Uint32(b)&0xffffff)
	a.cell, err = decodeCell(b[4:])
	return a, err
}

// sentRanges are the cells of a snapshot: what two sites share, some tables left out, and
// what sites have said.
func sentRanges(without []record.TableID) []span {
	all := shared(nil)
	cuts := span{record.Cell{Table: record.TableOrigins, Key: []byte(keyCut)}, record.Cell{Table: record.TableOrigins, Key: []byte{keyCut[0] + 1}}}
	return but([]span{all[0], all[1], cuts, all[2]}, without)
}

// part reads the cells behind a place, as many as a part takes.
func (s *served) part(ctx context.Context, from spotAt, at []byte) (*record.Record, error) {
	var cells []record.Mutation
	size, to, whole := 0, from, true
	for _, rg := range sentRanges(apart(s.l.e, string(s.l.peer))) {
		if compareCells(from.cell, rg.from) > 0 {
			rg.from = from.cell
		}
		if !whole || compareCells(rg.from, rg.to) >= 0 {
			continue
		}
		for e, err := range s.view.Scan(rg.from, rg.to) {
			if err = errors.Join(err, ctx.Err()); err != nil {
				return nil, err
			}
			again := compareCells(e.Cell, from.cell) == 0
			if again && from.behind {
				continue
			}
			if len(cells) >= partCellsMax || size >= s.l.e.o.Limits.PartBytes {
				whole = false
				break
			}
			skip := 0
			if again {
				skip = from.versions
			}
			state, versions, all, err := s.state(e.State, skip)
			if err != nil {
				return nil, err
			}
			c := e.Cell.Clone()
			cells = append(cells, record.Mutation{Op: record.OpState, Table: c.Table, Key: c.Key, Field: c.Field, Value: state})
			size, to = size+len(state)+len(c.Key)+len(c.Field), spotAt{cell: c, versions: versions, behind: all}
			if !all || len(state) > partBytesMax {
				whole = false
				break
			}
		}
	}
	r := core.Part(s.id, core.Site(s.l.e.site), bytes.Clone(at), to.encode(), whole, cells)
	return &r, nil
}

// state returns what of a state travels next, behind so many of its versions, how many
// that makes, and whether these are all.
func (s *served) state(b []byte, skip int) (state []byte, versions int, all bool, err error) {
	if len(b) <= siblingsAlone && skip == 0 {
		return bytes.Clone(b), 0, true, nil
	}
	var st record.State
	if err := record.DecodeState(b, &st); err != nil {
		return nil, 0, false, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if skip >= len(st.Siblings) {
		return nil, 0, false, fmt.Errorf("%w: version %d of %d of a cell", topology.ErrMalformed, skip, len(st.Siblings))
	}
	n := len(st.Siblings)
	st.Siblings = st.Siblings[skip : skip+1]
	return s.enc.AppendState(nil, &st), skip + 1, skip+1 == n, nil
}

// keeps returns the first entry of the log that some peer needs who takes a snapshot.
func (ls *links) keeps() (record.LSN, bool) {
	var at uint64
	for _, l := range ls.list() {
		if k := l.served.keep.Load(); k != 0 && (at == 0 || k < at) {
			at = k
		}
	}
	return record.LSN(at), at != 0
}
