package triad

import (
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// key returns a key of the table, as decisions on its cells take it. What is
// written to it at now lives as long as the table says; a zero now is for keys
// that are not written.
func (d definition) key(name []byte, now time.Time) (kind.Key, error) {
	if !kind.Known(d.Kind) {
		return kind.Key{}, fmt.Errorf("table %v: this version does not know its kind: %w", d.Table, topology.ErrUnsupported)
	}
	return kind.Key{Table: d.id, Kind: d.Kind, Name: name, Expires: d.expiry(now)}, nil
}

// expiry is that of a key that is written at now without one of its own.
func (t Table) expiry(now time.Time) version.Timestamp {
	if t.TTL == 0 || now.IsZero() {
		return 0
	}
	return version.TimestampAt(now.Add(t.TTL))
}

// put returns the mutations that make value the value of key at now, to live as
// long as ttl says, or where that is 0 the table. They alias both.
func (d definition) put(key, value []byte, ttl time.Duration, now time.Time) ([]record.Mutation, error) {
	k, err := d.key(key, now)
	if err != nil {
		return nil, err
	}
	if ttl > 0 {
		k.Expires = version.TimestampAt(now.Add(ttl))
	}
	ms, err := k.Assign(value)
	return ms, d.instead(err, d.Kind)
}

// remove returns the mutation that removes key.
func (d definition) remove(key []byte) (record.Mutation, error) {
	k, err := d.key(key, time.Time{})
	if err != nil {
		return record.Mutation{}, err
	}
	return k.Removal(), nil
}

// value puts the value of a key together from its cells.
func (d definition) value(cells []topology.CellReading) ([]byte, error) {
	k, err := d.key(cells[0].Key, time.Time{})
	if err != nil {
		return nil, err
	}
	value, err := k.Value(cells)
	return value, d.instead(err, cells[0].Kind)
}

// instead adds to the refusal of a key of another kind what is to be called for it.
func (d definition) instead(err error, is record.Kind) error {
	name, ok := map[record.Kind]string{record.KindSet: "SetOf", record.KindMap: "MapOf", record.KindHLL: "SketchOf"}[is]
	if !ok || !errors.Is(err, kind.ErrWrongKind) {
		return err
	}
	return fmt.Errorf("%w; triad.%s is for it", err, name)
}
