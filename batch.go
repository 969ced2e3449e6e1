package triad

import (
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Batch is several writes that happen together or not at all. It is built by one
// goroutine and given to [Node.Batch], also more than once; it keeps the slices
// it is given until then. What is wrong in it, Node.Batch says.
//
//	node.Batch(ctx, triad.NewBatch().
//		IfAbsent("orders", id).
//		Put("orders", id, order).
//		Delete("carts", user))
type Batch struct {
	writes     []call.One
	conditions []call.Condition
	fault      error // the first
}

// NewBatch returns an empty batch.
func NewBatch() *Batch { return &Batch{} }

// Put makes value the value of key.
func (b *Batch) Put(table string, key, value []byte) *Batch {
	return b.add(call.One{Table: table, Key: key, Value: value})
}

// Delete removes key. A key that is not there is removed all the same.
func (b *Batch) Delete(table string, key []byte) *Batch {
	return b.add(call.One{Table: table, Key: key, Remove: true})
}

// IfAbsent makes the batch fail with topology.ErrConditionFailed if key holds a
// value.
func (b *Batch) IfAbsent(table string, key []byte) *Batch { return b.when(table, key, IfAbsent()) }

// IfVersion makes the batch fail with topology.ErrConditionFailed unless key
// holds the value of that write.
func (b *Batch) IfVersion(table string, key []byte, d version.Dot) *Batch {
	return b.when(table, key, IfVersion(d))
}

// IfValue makes the batch fail with topology.ErrConditionFailed unless key holds
// these bytes.
func (b *Batch) IfValue(table string, key, value []byte) *Batch {
	return b.when(table, key, IfValue(value))
}

// Len returns how many writes the batch holds.
func (b *Batch) Len() int { return len(b.writes) }

func (b *Batch) add(w call.One) *Batch {
	if len(b.writes) == record.MutationsMax {
		return b.fail(fmt.Errorf("a batch of more than %d writes: %w", record.MutationsMax, topology.ErrTooLarge))
	}
	b.writes = append(b.writes, w)
	return b
}

func (b *Batch) when(table string, key []byte, o Option) *Batch {
	if len(b.conditions) == record.ConditionsMax {
		return b.fail(fmt.Errorf("a batch of more than %d conditions: %w", record.ConditionsMax, topology.ErrTooLarge))
	}
	b.conditions = append(b.conditions, call.Condition{Table: table, Key: key, Option: o})
	return b
}

func (b *Batch) fail(err error) *Batch {
	if b.fault == nil {
		b.fault = err
	}
	return b
}
