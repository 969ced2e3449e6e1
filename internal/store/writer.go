package store

import (
	"encoding/binary"
	"errors"
	"fmt"

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
)

type metaValue struct{ key, value []byte } // a nil value removes the key

func formatValue() metaValue {
	return metaValue{metaFormat, binary.BigEndian.AppendUint32(nil, storeFormat)}
}

func appliedValue(lsn record.LSN) metaValue {
	return metaValue{metaApplied, binary.BigEndian.AppendUint64(nil, uint64(lsn))}
}

// A writer brings fronts to Pebble. It belongs to one goroutine: a stage's, or
// whoever holds the pen.
type writer struct {
	db       *pebble.DB
	batch    *pebble.Batch
	from, to []byte           // scratch
	iter     *pebble.Iterator // only where a batch removes whole keys
}

// write brings a front and then meta values to Pebble in one batch, and returns
// its size.
func (w *writer) write(f *front, meta []metaValue) (n int, err error) {
	b := w.batch
	if f.bytes > batchKeptBytes {
		b = w.db.NewBatchWithSize(f.bytes)
		defer func() { err = errors.Join(err, b.Close()) }()
	}
	defer b.Reset()
	err = f.each(func(e entry) error { return w.place(b, e) })
	if err = errors.Join(err, w.endWhole()); err != nil {
		return 0, err
	}
	for _, m := range meta {
		if m.value == nil {
			err = b.Delete(m.key, nil)
		} else {
			err = b.Set(m.key, m.value, nil)
		}
		if err != nil {
			return 0, err
		}
	}
	n = b.Len()
	return n, w.db.Apply(b, pebble.NoSync)
}

// place adds one entry of a front to a batch.
func (w *writer) place(b *pebble.Batch, e entry) error {
	switch e.length {
	case lengthWhole:
		w.from, w.to = append(w.from[:0], e.key...), appendPast(w.to[:0], e.key)
		return w.removeStored(b)
	case lengthRemoved:
		return b.Delete(e.key, nil)
	}
	return b.Set(e.key, e.state, nil)
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

// removeStored adds to b the removal of what the store holds between from and
// to: one by one up to wholePointsMax cells, beyond that as a range.
func (w *writer) removeStored(b *pebble.Batch) error {
	if err := w.seek(); err != nil {
		return err
	}
	n := 0
	for ok := w.iter.First(); ok; ok = w.iter.Next() {
		if n++; n > wholePointsMax {
			return b.DeleteRange(w.from, w.to, nil)
		}
		if err := b.Delete(w.iter.Key(), nil); err != nil {
			return err
		}
	}
	return w.iter.Error()
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

// endWhole drops what removals of whole keys have left.
func (w *writer) endWhole() error {
	if w.iter == nil {
		return nil
	}
	err := w.iter.Close()
	w.iter = nil
	return err
}

func (w *writer) close() error {
	return errors.Join(w.endWhole(), w.batch.Close())
}
