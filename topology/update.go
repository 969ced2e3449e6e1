package topology

import (
	"context"

	"github.com/triad-kv/triad/record"
)

// Updater is the optional ability to decide a write from what it finds: a
// read-modify-write, evaluated in the order of the log (rule S16). The record
// carries the result, not the command, so whoever applies it decides nothing.
type Updater interface {
	// Update decides us in their order, each over everything accepted before
	// it, its predecessors in us included, and returns once every one is
	// answered in its own Receipt and Err; each that changes something is one
	// record, atomic on its own. All of us are accepted as one group, with
	// nothing of others between them.
	//
	// An update that changes nothing is answered, too, only once all it has
	// seen is as durable as o asks for and this node is known to have led
	// then: no answer shows what may yet be taken back.
	//
	// An engine bounds what one call may read and write: beyond that an update
	// fails with ErrTooLarge, or with ErrOverloaded where a call of its own would do.
	//
	// Only the leader decides; elsewhere every one fails with ErrNotLeader.
	Update(ctx context.Context, us []Update, o WriteOptions)
}

// Update is one decision, and its answer.
type Update struct {
	// Reads are what Decide sees.
	Reads []CellRange
	// Decide returns the mutations to accept, none to change nothing, or the
	// reason not to, which Err then wraps (NotApplied). It runs once for
	// each attempt to accept it, on a goroutine of the engine while others
	// wait: it must be quick and pure, and keep nothing of the sight.
	Decide func(Sight) ([]record.Mutation, error)
	// Request names the update: a retry gets the first answer, and nothing is
	// decided again. What was decided without a change has left nothing to
	// remember, and is decided anew.
	Request record.RequestID
	// Result, where it is not nil, is called after Decide with a change, if the
	// update has a name. It returns at most record.ResultBytesMax bytes of what was
	// decided, which are kept with the record; a retry's Repeat is told them, on
	// its caller's goroutine. Decide is not called then.
	Result func() []byte
	Repeat func([]byte) error
	// Bytes is about how long the mutations may be, so that the engine can hold
	// them to its budget; 0 says that they are short.
	Bytes int

	// Receipt and Err are the answer: one of them is zero. Of an update that
	// changed nothing the receipt holds the token of what it saw, and the zero dot.
	Receipt Receipt
	Err     error
}

// CellRange is one cell of a key, or all of them.
type CellRange struct {
	record.Cell
	Whole bool // all cells of the key; Field is then empty
}

// Sight is what an update sees. It is valid during Decide only.
type Sight interface {
	// Cells returns what Reads[i] holds, in the order of fields: nothing, one
	// cell, or, of a whole key, as many as there are. Values are not to be changed.
	// What is due to expire by the leader's clock does not show: a key is, with
	// all its cells, when its cell without a field is. So that the engine knows,
	// that one is read, and asked for before the others. Its removal is logged
	// with the update, or by itself where the update changes nothing.
	Cells(i int) []CellReading
}

// Scattered is a Sight of one site among several that write. What is decided over it
// holds there and nowhere else: a decision that needs one order of all writes is to be
// refused, and a change of a number is to be written as such ([record.OpMerge]) and not
// as what it comes to.
type Scattered interface {
	Sight
	Scattered()
}
