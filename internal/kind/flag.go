package kind

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// How a flag reads, and is put, as a string.
const (
	flagOn  = "1"
	flagOff = "0"
)

// FlagSet turns a flag on or off. One that is on is written again all the same: whoever
// turns it off at the same time has not seen that, and then it stays on.
type FlagSet struct {
	Key Key
	On  bool

	Was bool
}

// Reads implements Op.
func (o *FlagSet) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *FlagSet) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Was = false
	h, err := joined(&o.Key, s, record.KindFlag, "a flag")
	if err != nil {
		return nil, err
	}
	var ms []record.Mutation
	switch {
	case o.On:
		ms, err = bounded([]record.Mutation{o.Key.headPut(record.KindFlag, nil, o.Key.expiry(h))})
	case h.there():
		ms, err = bounded([]record.Mutation{o.Key.remove(record.KindFlag)})
	}
	o.Was = err == nil && h.there()
	return ms, err
}

// FlagGet reads a flag. One that is not there is off.
type FlagGet struct {
	Key Key

	On bool
}

// Reads implements Op.
func (o *FlagGet) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *FlagGet) Decide(s topology.Sight) ([]record.Mutation, error) {
	h := headOf(s.Cells(0))
	if h.there() && h.Kind != record.KindFlag {
		return nil, o.Key.wrong(h.Kind, "a flag")
	}
	o.On = h.there()
	return nil, nil
}

// flagPut is a flag as a string is put to it.
func flagPut(k *Key, value []byte, expires version.Timestamp) (record.Mutation, error) {
	switch string(value) {
	case flagOn:
		return k.headPut(record.KindFlag, nil, expires), nil
	case flagOff:
		return k.remove(record.KindFlag), nil
	}
	return record.Mutation{}, fmt.Errorf("key %q of a table of flags takes %s or %s: %w", k.Name, flagOn, flagOff, topology.ErrMalformed)
}
