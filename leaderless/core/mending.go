package core

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MarkMended is the key of the mark by which a node notes that it holds something else of
// a cell from then on.
const MarkMended = "mended"

// Mending is what a cell is to hold instead of what it holds, where replicas that have
// applied the same hold different things: a disk or a program had a fault. It is no merge,
// in which what is known and gone never comes back; it replaces, if the cell still holds
// what was looked at (rules L7, X3). It stands in the node's log as a note, which never
// leaves it. Its value is an array of seven:
//
//	0  format     uint, 1
//	1  table      uint
//	2  key        bin
//	3  field      bin
//	4  expect     uint, the sum of all that the cell held
//	5  collected  uint, the time up to which deletes had been collected then
//	6  state      bin, in the layout of record.AppendState
type Mending struct {
	Cell      record.Cell
	Expect    uint64
	Collected version.Timestamp
	State     record.State
}

const (
	mendingFormat = 1
	mendingFields = 7
)

// Encode returns the bytes of a mending.
func (p *Mending) Encode(enc *record.Encoder) []byte {
	state := enc.AppendState(nil, &p.State)
	w := pack.NewWriter(nil)
	w.Array(mendingFields)
	w.Uint(mendingFormat)
	w.Uint(uint64(p.Cell.Table))
	w.Bin(p.Cell.Key)
	w.Bin(p.Cell.Field)
	w.Uint(p.Expect)
	w.Uint(uint64(p.Collected))
	w.Bin(state)
	return w.Bytes()
}

// mend puts a mending in the log.
func (s *share) mend(c *Core, p *Mending) {
	r := record.Record{Time: c.clock.Last(), Mutations: []record.Mutation{{Table: record.TableSystem, Key: []byte(MarkMended), Op: record.OpMark, Value: p.Encode(c.enc)}}}
	b := c.enc.Append(nil, &r)
	c.Counts.Mended++
	c.append(s, version.Dot{}, record.Entry{Sum: record.Sum(b), Bytes: b}, waiting{})
}

// MendingOf returns the mending that a note is, nil if r is something else. It aliases r.
// Errors wrap [topology.ErrMalformed] or [topology.ErrUnsupported].
func MendingOf(r *record.Record) (*Mending, error) {
	if !r.IsNote() || len(r.Mutations) != 1 || r.Mutations[0].Op != record.OpMark || string(r.Mutations[0].Key) != MarkMended {
		return nil, nil
	}
	return DecodeMending(r.Mutations[0].Value)
}

// DecodeMending reads what Encode wrote. It aliases b.
func DecodeMending(b []byte) (*Mending, error) {
	rd := pack.NewReader(b)
	rd.ArrayOf(mendingFields)
	if f := rd.Uint(); rd.Err() == nil && f != mendingFormat {
		return nil, fmt.Errorf("%w: a note of a mended cell has format %d, this version knows %d", topology.ErrUnsupported, f, mendingFormat)
	}
	p := &Mending{Cell: record.Cell{Table: record.TableID(rd.UintMax(math.MaxUint32)), Key: rd.BinMax(record.KeyBytesMax), Field: rd.BinMax(record.FieldBytesMax)}}
	p.Expect, p.Collected = rd.Uint(), version.Timestamp(rd.Uint())
	state := rd.BinMax(stateBytesMax)
	err := rd.Done()
	if err == nil {
		err = record.DecodeState(state, &p.State)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a note of a mended cell: %w", topology.ErrMalformed, err)
	}
	return p, nil
}
