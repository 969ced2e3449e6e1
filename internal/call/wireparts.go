package call

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Methods for keys that have parts, and counters.
const (
	MethodChange = "client.change" // Parts → Changed; the leader decides it in the order of the log
	MethodLook   = "client.look"   // Parts → Shown
)

// PartsOp is what is done with a key's parts, or with what is one cell in which writes
// come together. Numbers are part of the
// format.
type PartsOp uint8

// Those that change, and those that look.
const (
	CounterAdd PartsOp = 1 + iota // By; answered with what it is then
	SetAdd                        // Parts: members; answered with how many were not there
	SetRemove                     // Parts: members; answered with how many were there
	MapPut                        // Parts: names, each before its value; answered with how many were not there
	MapRemove                     // Parts: names; answered with how many were there
	CounterGet
	SetHas     // Parts: one member
	SetMembers // answered with Parts
	SetLen
	MapGet // Parts: one name; answered with one of Parts
	MapAll // answered with names, each before its value
	MapLen
	FlagEnable  // a change, as those down to SketchMerge; answered with 1 if it was on
	FlagDisable // answered with 1 if it was on
	MaxObserve  // By; answered with what it is then
	MinObserve  // By; answered with what it is then
	SketchAdd   // Parts: elements; answered with 1 if that changed it
	SketchMerge // Parts: keys of the same table
	FlagGet
	MaxGet // answered with one of Parts, empty, if it is there
	MinGet // answered with one of Parts, empty, if it is there
	SketchCount

	partsOpEnd
)

// Changes reports whether it is a change, which the leader decides.
func (o PartsOp) Changes() bool {
	return o >= CounterAdd && o <= MapRemove || o >= FlagEnable && o <= SketchMerge
}

// Valid reports whether this version knows it.
func (o PartsOp) Valid() bool { return o > 0 && o < partsOpEnd }

// PartsMax bounds the parts of a request.
const PartsMax = 2 * record.MutationsMax

// ShownBytesMax bounds the parts of an answer together.
const ShownBytesMax = record.BatchBytesMax

// Parts is a request of a key that has parts, or of a counter: fields op, table, key,
// parts, by, options.
type Parts struct {
	Op      PartsOp
	Table   string
	Key     []byte
	Parts   [][]byte
	By      int64
	Options []Option
}

// Check holds a request to the limits of what can be sent.
func (m *Parts) Check() error {
	if len(m.Parts) > PartsMax {
		return fmt.Errorf("%d parts, at most %d: %w", len(m.Parts), PartsMax, topology.ErrTooLarge)
	}
	bytes := len(m.Key)
	for _, p := range m.Parts {
		if bytes += len(p); bytes > record.BatchBytesMax {
			return fmt.Errorf("parts of more than %d bytes: %w", record.BatchBytesMax, topology.ErrTooLarge)
		}
	}
	if m.Op == SketchMerge {
		if err := CheckKeys(m.Parts); err != nil {
			return err
		}
	}
	return CheckKey(m.Key)
}

// CheckKeys refuses a list in which one is no key.
func CheckKeys(keys [][]byte) error {
	for _, k := range keys {
		if err := CheckKey(k); err != nil {
			return err
		}
	}
	return nil
}

// Encode returns the request's bytes.
func (m *Parts) Encode() []byte {
	w := begin(6)
	w.Uint(uint64(m.Op))
	w.Str(m.Table)
	w.Bin(m.Key)
	w.Array(len(m.Parts))
	for _, p := range m.Parts {
		w.Bin(p)
	}
	w.Int(m.By)
	putOptions(w, m.Options)
	return w.Bytes()
}

// DecodeParts reads a request. Its slices alias b.
func DecodeParts(b []byte) (Parts, error) {
	r, err := open(b, 6)
	if err != nil {
		return Parts{}, err
	}
	m := Parts{Op: PartsOp(r.UintMax(uint64(partsOpEnd - 1))), Table: r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax)}
	for n := r.ArrayMax(PartsMax); n > 0 && r.Err() == nil; n-- {
		m.Parts = append(m.Parts, whole(r.BinMax(record.ValueBytesMax)))
	}
	m.By, m.Options = r.Int(), getOptions(&r)
	if r.Err() == nil && (m.Op == 0 || m.Op == MapPut && len(m.Parts)%2 != 0 || (m.Op == SetHas || m.Op == MapGet) && len(m.Parts) != 1) {
		r.Fail(fmt.Sprintf("operation %d with %d parts is none", m.Op, len(m.Parts)))
	}
	if r.Err() == nil && m.Op == SketchMerge && CheckKeys(m.Parts) != nil {
		r.Fail("a part of it is no key")
	}
	return m, done(&r)
}

// Changed is the answer to a change: fields receipt, number.
type Changed struct {
	Receipt topology.Receipt
	Number  int64
}

// Encode returns the answer's bytes.
func (m *Changed) Encode() []byte {
	w := begin(2)
	w.Bin(EncodeReceipt(m.Receipt))
	w.Int(m.Number)
	return w.Bytes()
}

// DecodeChanged reads an answer.
func DecodeChanged(b []byte) (Changed, error) {
	r, err := open(b, 2)
	if err != nil {
		return Changed{}, err
	}
	receipt, m := r.Bin(), Changed{Number: r.Int()}
	if err := done(&r); err != nil {
		return m, err
	}
	m.Receipt, err = DecodeReceipt(receipt)
	return m, err
}

// Shown is the answer to a look: fields parts, number, token, served, stale, guarantee. Of
// a table that is not there the token is zero.
type Shown struct {
	Parts     [][]byte
	Number    int64 // of parts, or a counter's; 1 for yes
	Token     topology.Token
	Served    topology.NodeID
	Stale     time.Duration
	Guarantee topology.Guarantee
}

// Check holds an answer to what can be sent.
func (m *Shown) Check() error {
	bytes := 0
	for _, p := range m.Parts {
		bytes += len(p) + 5 // and its length
	}
	if bytes > ShownBytesMax {
		return fmt.Errorf("the key's %d parts are %d bytes, at most %d are shown at once; ask for them one by one: %w", len(m.Parts), bytes, ShownBytesMax, topology.ErrTooLarge)
	}
	return nil
}

// Encode returns the answer's bytes.
func (m *Shown) Encode() []byte {
	w := begin(6)
	w.Array(len(m.Parts))
	for _, p := range m.Parts {
		w.Bin(p)
	}
	w.Int(m.Number)
	w.Str(m.Token.String())
	w.Str(string(m.Served))
	w.Int(int64(m.Stale))
	w.Uint(uint64(m.Guarantee))
	return w.Bytes()
}

// DecodeShown reads an answer. Its parts alias b.
func DecodeShown(b []byte) (Shown, error) {
	r, err := open(b, 6)
	if err != nil {
		return Shown{}, err
	}
	var m Shown
	for n := r.Array(); n > 0 && r.Err() == nil; n-- {
		m.Parts = append(m.Parts, whole(r.Bin()))
	}
	m.Number, m.Token, m.Served = r.Int(), getToken(&r), topology.NodeID(r.StrMax(nameBytesMax))
	m.Stale, m.Guarantee = time.Duration(r.Int()), topology.Guarantee(r.UintMax(255))
	return m, done(&r)
}
