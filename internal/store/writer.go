package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const (
	// batchBytesMax is how much one Apply or one chunk may bring, keys and
	// states together.
	batchBytesMax = 256 << 20
	// batchKeptBytes is how large a buffer is kept for the next batch.
	batchKeptBytes = 1 << 20
	// wholePointsMax is up to how many cells a whole key is removed one by one.
	// A range tombstone slows down every read near it until it is compacted
	// away, so most keys, which hold one cell or a few, never cause one.
	wholePointsMax = 256
	// seenKeptMax is how large a set of keys is kept for the next batch.
	seenKeptMax = 1 << 14
)

type metaValue struct{ key, value []byte } // a nil value removes the key

func formatValue() metaValue {
	return metaValue{metaFormat, binary.BigEndian.AppendUint32(nil, storeFormat)}
}

func appliedValue(lsn record.LSN) metaValue {
	return metaValue{metaApplied, binary.BigEndian.AppendUint64(nil, uint64(lsn))}
}

// A writer turns edits into Pebble batches. It belongs to one goroutine.
type writer struct {
	db       *pebble.DB
	batch    *pebble.Batch
	from, to []byte // scratch

	// Only where a batch removes whole keys:
	iter *pebble.Iterator
	seen map[uint64]struct{} // sums of the keys that edits before have set cells of
	upTo int                 // how many edits are in seen
}

var seed = maphash.MakeSeed()

// write applies edits and then meta values in one batch, and returns its size.
func (w *writer) write(edits []topology.Edit, meta []metaValue) (int, error) {
	if err := w.build(edits); err != nil {
		w.batch.Reset()
		return 0, err
	}
	for _, m := range meta {
		var err error
		if m.value == nil {
			err = w.batch.Delete(m.key, nil)
		} else {
			err = w.batch.Set(m.key, m.value, nil)
		}
		if err != nil {
			w.batch.Reset()
			return 0, err
		}
	}
	n := w.batch.Len()
	err := w.db.Apply(w.batch, pebble.NoSync)
	w.batch.Reset()
	return n, err
}

// checkSize refuses what one batch may not bring.
func checkSize(edits []topology.Edit) error {
	n := 0
	for i := range edits {
		n += len(edits[i].Key) + len(edits[i].Field) + len(edits[i].State)
	}
	if n > batchBytesMax {
		return fmt.Errorf("%d edits of %d bytes, at most %d: %w", len(edits), n, batchBytesMax, topology.ErrTooLarge)
	}
	return nil
}

func (w *writer) build(edits []topology.Edit) (err error) {
	defer func() { err = errors.Join(err, w.endWhole()) }()
	for i := range edits {
		e := &edits[i]
		switch {
		case e.Whole:
			err = w.removeKey(edits[:i], e.Cell)
		case e.State == nil:
			op := w.batch.DeleteDeferred(cellBytes(e.Cell))
			appendCell(op.Key[:0], e.Cell)
			err = op.Finish()
		default:
			op := w.batch.SetDeferred(cellBytes(e.Cell), len(e.State))
			appendCell(op.Key[:0], e.Cell)
			copy(op.Value, e.State)
			err = op.Finish()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeKey removes every cell of c's key: those the store holds, and those
// that the edits before it in the same batch have set.
func (w *writer) removeKey(before []topology.Edit, c record.Cell) error {
	c.Field = nil
	w.from, w.to = appendCell(w.from[:0], c), appendPast(w.to[:0], c)
	if err := w.seek(); err != nil {
		return err
	}
	n := 0
	for ok := w.iter.First(); ok; ok = w.iter.Next() {
		if n++; n > wholePointsMax {
			return w.batch.DeleteRange(w.from, w.to, nil)
		}
		if err := w.batch.Delete(w.iter.Key(), nil); err != nil {
			return err
		}
	}
	if err := w.iter.Error(); err != nil {
		return err
	}
	if !w.sets(before, c) {
		return nil
	}
	for i := range before {
		e := &before[i]
		if e.Whole || e.State == nil || e.Table != c.Table || !bytes.Equal(e.Key, c.Key) {
			continue
		}
		if n++; n > wholePointsMax {
			return w.batch.DeleteRange(w.from, w.to, nil)
		}
		w.from = appendCell(w.from[:0], e.Cell)
		if err := w.batch.Delete(w.from, nil); err != nil {
			return err
		}
		w.from = appendCell(w.from[:0], c)
	}
	return nil
}

// seek puts the iterator over the bounds from and to, in the state before the batch.
func (w *writer) seek() (err error) {
	if w.iter == nil {
		w.iter, err = w.db.NewIter(&pebble.IterOptions{LowerBound: w.from, UpperBound: w.to})
		return err
	}
	w.iter.SetBounds(w.from, w.to)
	return nil
}

// sets reports whether one of the edits may have set a cell of c's key. It
// remembers what it has looked at, so that a batch of removals costs no more
// than its length.
func (w *writer) sets(before []topology.Edit, c record.Cell) bool {
	if w.seen == nil {
		w.seen = make(map[uint64]struct{})
	}
	for ; w.upTo < len(before); w.upTo++ {
		if e := &before[w.upTo]; !e.Whole && e.State != nil {
			w.seen[keySum(e.Cell)] = struct{}{}
		}
	}
	_, ok := w.seen[keySum(c)]
	return ok
}

func keySum(c record.Cell) uint64 {
	return maphash.Bytes(seed, c.Key) + uint64(c.Table)*0x9E3779B97F4A7C15
}

// endWhole drops what removals of whole keys have left.
func (w *writer) endWhole() (err error) {
	if w.iter == nil {
		return nil
	}
	err = w.iter.Close()
	w.iter, w.upTo = nil, 0
	if len(w.seen) > seenKeptMax {
		w.seen = nil
	}
	clear(w.seen)
	return err
}

func (w *writer) close() error {
	return errors.Join(w.endWhole(), w.batch.Close())
}
