package core

import (
	"bytes"
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A message is a msgpack array of sixteen, then its entry in the layout of
// record.AppendEntry, if it has one:
//
//	0  kind       uint
//	1  epoch      uint, of the sender's map
//	2  life       uint, the sender's incarnation
//	3  op         uint
//	4  table      uint
//	5  key        bin
//	6  full       bool
//	7  partition  uint
//	8  round      uint
//	9  room       uint
//	10 set        bin, a state in the layout of record.AppendState, whose context it is, of MsgSync
//	11 error      bin, in the layout of topology.AppendError; empty for none
//	12 field      bin
//	13 whole      bool
//	14 cells      array of 2n: field; bin, a state in the layout of record.AppendState
//	15 delta      bin, in the layout of placement.Delta.Encode; empty for none
const wireFields = 16

// Encode appends a message as it travels to dst.
func (m *Message) Encode(dst []byte, enc *record.Encoder) []byte {
	set := enc.AppendState(nil, &record.State{Context: m.Applied})
	var failed []byte
	if m.Err != nil {
		failed = topology.AppendError(nil, &topology.Error{Outcome: topology.NotApplied, Err: m.Err})
	}
	w := pack.NewWriter(dst)
	w.Array(wireFields)
	w.Uint(uint64(m.Kind))
	w.Uint(m.Epoch)
	w.Uint(uint64(m.Life))
	w.Uint(m.Op)
	w.Uint(uint64(m.Range.Table))
	w.Bin(m.Range.Key)
	w.Bool(m.Full)
	w.Uint(uint64(m.Partition))
	w.Uint(m.Round)
	w.Uint(uint64(m.Room))
	w.Bin(set)
	w.Bin(failed)
	w.Bin(m.Range.Field)
	w.Bool(m.Range.Whole)
	w.Raw(AppendCells(nil, m.Cells, enc))
	w.Bin(m.Delta)
	b := w.Bytes()
	if m.Kind == MsgRecord {
		b = record.AppendEntry(b, m.Entry)
	}
	return b
}

// DecodeMessage reads what Encode wrote. The message aliases b. Errors wrap
// [topology.ErrMalformed].
func DecodeMessage(b []byte) (*Message, error) {
	r := pack.NewReader(b)
	r.ArrayOf(wireFields)
	m := &Message{Kind: MessageKind(r.UintMax(uint64(MsgMap)))}
	m.Epoch, m.Life, m.Op = r.Uint(), uint32(r.UintMax(math.MaxUint32)), r.Uint()
	m.Range.Table, m.Range.Key, m.Full = record.TableID(r.UintMax(math.MaxUint32)), r.BinMax(record.KeyBytesMax), r.Bool()
	m.Partition, m.Round, m.Room = int(r.UintMax(1<<17)), r.Uint(), int(r.UintMax(math.MaxInt32))
	set, failed := r.BinMax(stateBytesMax), r.BinMax(topology.ErrorBytesMax)
	m.Range.Field, m.Range.Whole = r.BinMax(record.FieldBytesMax), r.Bool()
	cells, err := ReadCells(&r, m.Range.Cell)
	m.Cells = cells
	if delta := r.BinMax(deltaBytesMax); len(delta) > 0 {
		m.Delta = delta
	}
	if err == nil {
		err = r.Err()
	}
	rest := r.Rest()
	var s record.State
	if err == nil {
		err = record.DecodeState(set, &s)
	}
	m.Applied = s.Context
	if err == nil && m.Kind == MsgRecord {
		m.Entry, rest, err = record.NextEntry(rest)
	}
	switch {
	case err != nil:
	case len(rest) > 0:
		err = fmt.Errorf("%d bytes behind it", len(rest))
	case m.Kind == 0:
		err = fmt.Errorf("kind 0")
	case (m.Kind == MsgState || m.Kind == MsgAsk) && len(m.Range.Key) == 0:
		err = fmt.Errorf("no key")
	}
	if err != nil {
		return nil, fmt.Errorf("%w message: %w", topology.ErrMalformed, err)
	}
	if len(failed) > 0 {
		m.Err = topology.ReadError(failed)
	}
	return m, nil
}

// deltaBytesMax bounds what is newer in a map: the map of the most nodes and partitions
// that there may be.
const deltaBytesMax = 4 << 20

// stateBytesMax bounds a state on the wire: its value, and what stands around it.
const stateBytesMax = record.ValueBytesMax + 1<<20

// AppendCells appends cells of one key to dst, as an array of 2n: field, state.
func AppendCells(dst []byte, cells []Held, enc *record.Encoder) []byte {
	states := make([][]byte, len(cells))
	for i := range cells {
		states[i] = enc.AppendState(nil, &cells[i].State)
	}
	w := pack.NewWriter(dst)
	w.Array(2 * len(cells))
	for i := range cells {
		w.Bin(cells[i].Field)
		w.Bin(states[i])
	}
	return w.Bytes()
}

// CellsMax is how many cells of a key are read at once.
const CellsMax = 1 << 16

// ReadCells reads what AppendCells wrote, of the key of a cell. They alias what r reads.
func ReadCells(r *pack.Reader, of record.Cell) (cells []Held, err error) {
	n := r.ArrayMax(2 * CellsMax)
	if n%2 != 0 {
		r.Fail("cells are not whole")
	}
	for ; n > 1 && r.Err() == nil; n -= 2 {
		h := Held{Cell: record.Cell{Table: of.Table, Key: of.Key, Field: r.BinMax(record.FieldBytesMax)}}
		b := r.BinMax(stateBytesMax)
		if r.Err() != nil {
			break
		}
		if err := record.DecodeState(b, &h.State); err != nil {
			return nil, err
		}
		if k := len(cells); k > 0 && bytes.Compare(cells[k-1].Field, h.Field) >= 0 {
			r.Fail("cells are not in the order of their fields")
			break
		}
		cells = append(cells, h)
	}
	return cells, r.Err()
}
