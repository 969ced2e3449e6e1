package record

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/version"
)

// What is wrong with what was asked for, or with bytes that were read.
var (
	ErrTooLarge = errors.New("too large")      // a limit is exceeded; the text says which, and by how much
	ErrInvalid  = errors.New("invalid")        // it means nothing, or may not be asked for
	ErrFormat   = errors.New("unknown format") // written by a newer version
)

// Check checks what a caller asks for: that it is within the limits, with
// values of at most valueBytesMax bytes, and that it means something. A
// valueBytesMax of 0, or above [ValueBytesMax], is ValueBytesMax. [OpMark] is
// refused: marks are an engine's own.
//
// Errors wrap [ErrTooLarge] or [ErrInvalid].
func (m *Mutation) Check(valueBytesMax int) error {
	switch m.Op {
	case OpPut, OpDelete, OpMerge:
	case OpMark:
		return fmt.Errorf("%w mutation: marks are not for callers", ErrInvalid)
	default:
		return fmt.Errorf("%w mutation: operation %d", ErrInvalid, m.Op)
	}
	if !m.Kind.Valid() {
		return fmt.Errorf("%w mutation: kind %d", ErrInvalid, m.Kind)
	}
	return checkCell(m.Key, m.Field, m.Value, valueBytesMax)
}

func checkCell(key, field, value []byte, valueBytesMax int) error {
	if valueBytesMax <= 0 || valueBytesMax > ValueBytesMax {
		valueBytesMax = ValueBytesMax
	}
	switch {
	case len(key) == 0:
		return fmt.Errorf("%w key: it is empty", ErrInvalid)
	case len(key) > KeyBytesMax:
		return fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, len(key), KeyBytesMax)
	case len(field) > FieldBytesMax:
		return fmt.Errorf("%w: field of %d bytes, at most %d", ErrTooLarge, len(field), FieldBytesMax)
	case len(value) > valueBytesMax:
		return fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(value), valueBytesMax)
	}
	return nil
}

// Footprint estimates the bytes that a batch holds in memory and in the log.
func (b *Batch) Footprint() int64 {
	n := 128
	for i := range b.Mutations {
		m := &b.Mutations[i]
		n += 32 + len(m.Key) + len(m.Field) + len(m.Value)
	}
	return int64(n)
}

// Check checks a batch as [Mutation.Check] checks each of its mutations, and
// that it holds at least one and at most [MutationsMax], of at most
// [BatchBytesMax] together, and at most [ConditionsMax] conditions, each of
// which asks for exactly one thing.
func (b *Batch) Check(valueBytesMax int) error {
	switch {
	case len(b.Mutations) == 0:
		return fmt.Errorf("%w batch: it holds no mutation", ErrInvalid)
	case len(b.Mutations) > MutationsMax:
		return fmt.Errorf("%w: batch of %d mutations, at most %d", ErrTooLarge, len(b.Mutations), MutationsMax)
	case len(b.Conditions) > ConditionsMax:
		return fmt.Errorf("%w: batch with %d conditions, at most %d", ErrTooLarge, len(b.Conditions), ConditionsMax)
	}
	total := 0
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if err := m.Check(valueBytesMax); err != nil {
			return fmt.Errorf("mutation %d of %d: %w", i+1, len(b.Mutations), err)
		}
		total += len(m.Key) + len(m.Field) + len(m.Value)
	}
	if total > BatchBytesMax {
		return fmt.Errorf("%w: batch of %d bytes, at most %d", ErrTooLarge, total, BatchBytesMax)
	}
	for i := range b.Conditions {
		if err := b.Conditions[i].check(valueBytesMax); err != nil {
			return fmt.Errorf("condition %d of %d: %w", i+1, len(b.Conditions), err)
		}
	}
	return nil
}

func (c *Condition) check(valueBytesMax int) error {
	asked := 0
	for _, is := range [...]bool{c.Absent, c.Version != version.Dot{}, c.Equal} {
		if is {
			asked++
		}
	}
	switch {
	case asked != 1:
		return fmt.Errorf("%w condition: one of absent, version and value is asked for, not %d of them", ErrInvalid, asked)
	case c.Version != version.Dot{} && (c.Version.Origin.IsZero() || c.Version.Seq == 0):
		return fmt.Errorf("%w condition: version %v names no write", ErrInvalid, c.Version)
	case !c.Equal && len(c.Value) > 0:
		return fmt.Errorf("%w condition: a value is given and not asked for", ErrInvalid)
	}
	return checkCell(c.Key, c.Field, c.Value, valueBytesMax)
}
