package core

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Repair is what a cell of this site is to hold instead of what it holds: the state of
// another site, named by who asked for it, with its dots. It is no merge: both sites
// have all the writes that either is made of (rules M8, X3). It stands in the site's log
// as a note, so every node of the site repairs at one place of the log, and no other
// site hears of it. Its value is an array of eight:
//
//	0  format  uint, 1
//	1  from    uint, the number of the site whose state it is
//	2  table   uint
//	3  key     bin
//	4  field   bin
//	5  high    uint, of the sum of what is held and to be replaced; something else is left alone
//	6  low     uint
//	7  state   bin, encoded; empty for nothing
type Repair struct {
	From   uint32
	Cell   record.Cell
	Expect Sum
	State  []byte
}

const (
	repairFormat = 1
	repairFields = 8
)

func (p *Repair) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(repairFields)
	w.Uint(repairFormat)
	w.Uint(uint64(p.From))
	w.Uint(uint64(p.Cell.Table))
	w.Bin(p.Cell.Key)
	w.Bin(p.Cell.Field)
	w.Uint(p.Expect.Hi)
	w.Uint(p.Expect.Lo)
	w.Bin(p.State)
	return w.Bytes()
}

// RepairOf returns the repair that a record of the site's log is, nil if it is none. It
// aliases the record.
func RepairOf(r *record.Record) (*Repair, error) {
	if !r.IsNote() {
		return nil, nil
	}
	for i := range r.Mutations {
		if m := &r.Mutations[i]; m.Op == record.OpMark && m.Table == record.TableSystem && string(m.Key) == record.MarkRepair {
			return decodeRepair(m.Value)
		}
	}
	return nil, nil
}

func decodeRepair(b []byte) (*Repair, error) {
	r := pack.NewReader(b)
	r.ArrayOf(repairFields)
	if f := r.Uint(); r.Err() == nil && f != repairFormat {
		return nil, fmt.Errorf("a repair has format %d, this version knows %d: %w", f, repairFormat, topology.ErrUnsupported)
	}
	p := &Repair{From: uint32(r.UintMax(math.MaxUint32)), Cell: record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32))}}
	p.Cell.Key, p.Cell.Field = r.BinMax(record.KeyBytesMax), r.BinMax(record.FieldBytesMax)
	p.Expect.Hi, p.Expect.Lo = r.Uint(), r.Uint()
	p.State = r.Bin()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a repair: %w: %w", topology.ErrMalformed, err)
	}
	return p, nil
}

// repair puts a repair in the log, if this site takes writes at all.
func repair(c *Core, p *Repair) {
	if c.Open() && len(c.log.tail) < c.cfg.Limits.Uncommitted {
		c.append(record.Record{
			Time: c.clock.Now(), Term: c.Term,
			Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkRepair), Value: p.encode()}},
		})
	}
}
