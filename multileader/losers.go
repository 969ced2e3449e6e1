package multileader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// What concurrent writes cost stands in a table of Triad's own, by the place in the
// site's log of the record that met the others, and which of its changes that was (rule
// M5). It is of one site: another met the same writes in another order.
//
//	key    LSN, 8 bytes; the change's number in its record, 2
//	value  an array of nine: format, 2; table, key, field, winner, losers; type, resolver,
//	       and the write that met the others, an array of three: id, incarnation, seq;
//	       a version is an array of eight as in a state. Format 1 ends with the losers.
const (
	lossFormat    = 2
	lossFields    = 9
	lossFieldsOld = 6
	lossBytes     = 8 + 2
	lossWordMax   = 1 << 10
)

func loserCell(lsn record.LSN, n int) record.Cell {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, lossBytes), uint64(lsn))
	return record.Cell{Table: record.TableLosers, Key: binary.BigEndian.AppendUint16(k, uint16(n))}
}

// loss is one conflict: which write met others, and what became of all.
type loss struct {
	cell     record.Cell
	by       version.Dot
	kind     topology.ConflictType
	resolver string
	stays    []record.Version
	lost     []record.Version
	fresh    int // of lost, those that had not lost before
}

func (x *loss) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(lossFields)
	w.Uint(lossFormat)
	w.Uint(uint64(x.cell.Table))
	w.Bin(x.cell.Key)
	w.Bin(x.cell.Field)
	putVersions(w, x.stays)
	putVersions(w, x.lost)
	w.Str(string(x.kind))
	w.Str(x.resolver[:min(len(x.resolver), lossWordMax)])
	w.Array(3)
	w.Uint(uint64(x.by.Origin.ID))
	w.Uint(uint64(x.by.Origin.Incarnation))
	w.Uint(x.by.Seq)
	return w.Bytes()
}

func putVersions(w *pack.Writer, vs []record.Version) {
	w.Array(8 * len(vs))
	for i := range vs {
		v := &vs[i]
		w.Uint(uint64(v.Origin.ID))
		w.Uint(uint64(v.Origin.Incarnation))
		w.Uint(v.Seq)
		w.Uint(uint64(v.Time))
		w.Uint(uint64(v.Expires))
		w.Uint(uint64(v.Kind))
		w.Bool(v.Absent)
		w.Bin(v.Value)
	}
}

func getVersions(r *pack.Reader) (vs []record.Version) {
	n := r.ArrayMax(8 * record.SiblingsMax)
	if n%8 != 0 {
		r.Fail("versions are not whole")
	}
	for n /= 8; n > 0 && r.Err() == nil; n-- {
		v := record.Version{Dot: version.Dot{Origin: getOrigin(r)}}
		v.Seq = r.Uint()
		v.Time, v.Expires = version.Timestamp(r.Uint()), version.Timestamp(r.Uint())
		v.Kind = record.Kind(r.UintMax(math.MaxUint8))
		v.Absent, v.Value = r.Bool(), r.BinMax(record.ValueBytesMax)
		vs = append(vs, v)
	}
	return vs
}

func decodeLoss(key, value []byte) (topology.Conflict, error) {
	if len(key) != lossBytes {
		return topology.Conflict{}, fmt.Errorf("%w: a conflict's key of %d bytes", topology.ErrMalformed, len(key))
	}
	r := pack.NewReader(value)
	n, f := r.Array(), r.Uint()
	if r.Err() == nil && (f < 1 || f > lossFormat) {
		return topology.Conflict{}, fmt.Errorf("a conflict has format %d, this version knows 1 to %d: %w", f, lossFormat, topology.ErrUnsupported)
	}
	if want := map[uint64]int{1: lossFieldsOld, lossFormat: lossFields}[f]; r.Err() == nil && n != want {
		r.Fail(fmt.Sprintf("%d fields expected, found %d", want, n))
	}
	c := topology.Conflict{LSN: record.LSN(binary.BigEndian.Uint64(key)), Change: binary.BigEndian.Uint16(key[8:])}
	c.Cell.Table = record.TableID(r.UintMax(math.MaxUint32))
	c.Cell.Key, c.Cell.Field = r.BinMax(record.KeyBytesMax), r.BinMax(record.FieldBytesMax)
	c.Winner, c.Losers = getVersions(&r), getVersions(&r)
	c.Type = topology.ConflictTypeOf(c.Winner, c.Losers)
	if f > 1 {
		c.Type, c.Resolver = topology.ConflictType(r.StrMax(lossWordMax)), r.StrMax(lossWordMax)
		r.ArrayOf(3)
		c.By = version.Dot{Origin: getOrigin(&r)}
		c.By.Seq = r.Uint()
	}
	if err := r.Done(); err != nil {
		return topology.Conflict{}, fmt.Errorf("a conflict: %w: %w", topology.ErrMalformed, err)
	}
	return c, nil
}

// Conflicts implements topology.ConflictLister.
func (e *engine) Conflicts(ctx context.Context, after record.LSN) iter.Seq2[topology.Conflict, error] {
	return func(yield func(topology.Conflict, error) bool) {
		view, err := e.env.Store.Snapshot()
		if err != nil {
			yield(topology.Conflict{}, err)
			return
		}
		err = eachLoss(view, after, func(c topology.Conflict) bool { return ctx.Err() == nil && yield(c, nil) })
		if err = errors.Join(err, view.Close()); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(topology.Conflict{}, err)
		}
	}
}

func eachLoss(view topology.Snapshot, after record.LSN, f func(topology.Conflict) bool) error {
	for ed, err := range view.Scan(loserCell(after+1, 0), record.Cell{Table: record.TableLosers + 1}) {
		if err != nil {
			return err
		}
		var s record.State
		if err := record.DecodeState(ed.State, &s); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		for i := range s.Siblings {
			c, err := decodeLoss(ed.Key, append([]byte(nil), s.Siblings[i].Value...))
			if err != nil {
				return err
			}
			c.Time = s.Siblings[i].Time
			if !f(c) {
				return nil
			}
		}
	}
	return nil
}

var _ topology.ConflictLister = (*engine)(nil)
