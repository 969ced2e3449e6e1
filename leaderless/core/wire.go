package core

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A message is a msgpack array of twelve, then its entry in the layout of
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
//	10 state      bin, in the layout of record.AppendState; of MsgSync the set is its context
//	11 error      bin, in the layout of topology.AppendError; empty for none
const wireFields = 12

// Encode appends a message as it travels to dst.
func (m *Message) Encode(dst []byte, enc *record.Encoder) []byte {
	s := m.State
	if m.Kind == MsgSync {
		s = record.State{Context: m.Applied}
	}
	state := enc.AppendState(nil, &s)
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
	w.Uint(uint64(m.Table))
	w.Bin(m.Key)
	w.Bool(m.Full)
	w.Uint(uint64(m.Partition))
	w.Uint(m.Round)
	w.Uint(uint64(m.Room))
	w.Bin(state)
	w.Bin(failed)
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
	m := &Message{Kind: MessageKind(r.UintMax(uint64(MsgSync)))}
	m.Epoch, m.Life, m.Op = r.Uint(), uint32(r.UintMax(math.MaxUint32)), r.Uint()
	m.Table, m.Key, m.Full = record.TableID(r.UintMax(math.MaxUint32)), r.BinMax(record.KeyBytesMax), r.Bool()
	m.Partition, m.Round, m.Room = int(r.UintMax(1<<17)), r.Uint(), int(r.UintMax(math.MaxInt32))
	state, failed := r.BinMax(stateBytesMax), r.BinMax(topology.ErrorBytesMax)
	rest := r.Rest()
	err := r.Err()
	if err == nil {
		err = record.DecodeState(state, &m.State)
	}
	if err == nil && m.Kind == MsgRecord {
		m.Entry, rest, err = record.NextEntry(rest)
	}
	switch {
	case err != nil:
	case len(rest) > 0:
		err = fmt.Errorf("%d bytes behind it", len(rest))
	case m.Kind == 0:
		err = fmt.Errorf("kind 0")
	case m.Kind == MsgSync:
		m.Applied, m.State.Context = m.State.Context, nil
	case (m.Kind == MsgState || m.Kind == MsgAsk) && len(m.Key) == 0:
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

// stateBytesMax bounds a state on the wire: its value, and what stands around it.
const stateBytesMax = record.ValueBytesMax + 1<<20
