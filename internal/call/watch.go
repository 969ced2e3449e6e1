package call

import (
	"fmt"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// ProtocolWatch is the stream of a watch. The client sends a Watch, and then, if it
// has a slot, a Change without keys for each that it has taken in. What the node
// sends begins with one byte: 0 and a Change, or 1 and the error that ends it, in
// the form of topology.AppendError.
const ProtocolWatch = "client.watch"

// Methods for slots.
const (
	MethodSlot  = "client.slot"  // SlotRequest → Slots of one, or none
	MethodSlots = "client.slots" // nothing → Slots
)

// Limits of slots and watches.
const (
	SlotBytesMax  = 64        // of a slot's name
	SlotsMax      = 64        // slots of a cluster
	SlotBytesLeft = 256 << 20 // of log that a slot holds back where it does not say
	keysMax       = record.MutationsMax
)

// Watch is what a watch of one table asks for. The zero value follows all keys from
// now on.
type Watch struct {
	// Prefix is what the keys begin with.
	Prefix []byte
	// From is the token to go on behind: of a change, a receipt or a reading.
	From topology.Token
	// State asks for all that is there first, from one consistent view, and then
	// for what comes after it, without a gap.
	State bool
	// Progress asks for positions, too, behind what others than these keys changed.
	Progress bool
	// Slot names a durable position that holds back the log's retention. It is
	// made if it is not there; else the watch goes on where it stands.
	Slot string
	// SlotBytes is how much of the log a slot that is made may hold back; beyond
	// that it is dropped. Default SlotBytesLeft, 256 MiB.
	SlotBytes uint64
}

// Change is one step of a watch: what one transaction did to the keys that are
// watched. Its slices are the caller's.
type Change struct {
	Kind topology.ChangeKind
	// Token is where to resume; zero in a topology.ChangeState, as who stops
	// within the state begins anew.
	Token topology.Token
	Dot   version.Dot
	Time  version.Timestamp
	Keys  []KeyChange // none of a topology.ChangePosition
}

// KeyChange is what became of one key: it holds Value and nothing else, or it
// changed in some parts. What says neither is gone.
type KeyChange struct {
	Key     []byte
	Kind    record.Kind // of what was put
	Removed bool        // what it held before is gone, and Parts are all there is
	Whole   bool        // Value is all it holds
	Value   []byte      // with Whole: as Get returns it
	Expires version.Timestamp
	Parts   []PartChange // without Whole: members of a set, fields of a map, columns
}

// PartChange is what became of one part of a key.
type PartChange struct {
	Name    []byte
	Value   []byte
	Removed bool
}

// Check says what is wrong with a request.
func (m *Watch) Check() error {
	switch {
	case len(m.Prefix) > record.KeyBytesMax:
		return fmt.Errorf("a prefix of %d bytes, at most %d: %w", len(m.Prefix), record.KeyBytesMax, topology.ErrTooLarge)
	case m.State && !m.From.IsZero():
		return fmt.Errorf("a watch from a token and from the state: %w", topology.ErrMalformed)
	case m.Slot == "" && m.SlotBytes != 0:
		return fmt.Errorf("a budget without a slot: %w", topology.ErrMalformed)
	case len(m.Slot) > SlotBytesMax:
		return fmt.Errorf("a slot's name of %d bytes, at most %d: %w", len(m.Slot), SlotBytesMax, topology.ErrTooLarge)
	}
	return nil
}

// Encode returns the request's bytes: fields table, prefix, token, state, progress,
// slot, bytes.
func (m *Watch) Encode(table string) []byte {
	w := begin(7)
	w.Str(table)
	w.Bin(m.Prefix)
	w.Str(m.From.String())
	w.Bool(m.State)
	w.Bool(m.Progress)
	w.Str(m.Slot)
	w.Uint(m.SlotBytes)
	return w.Bytes()
}

// DecodeWatch reads a request. Its slices alias b.
func DecodeWatch(b []byte) (table string, m Watch, err error) {
	r, err := open(b, 7)
	if err != nil {
		return "", m, err
	}
	table = r.StrMax(TableBytesMax)
	m = Watch{
		Prefix: r.BinMax(record.KeyBytesMax), From: getToken(&r), State: r.Bool(), Progress: r.Bool(),
		Slot: r.StrMax(SlotBytesMax), SlotBytes: r.Uint(),
	}
	if err = done(&r); err == nil {
		err = m.Check()
	}
	return table, m, err
}

const (
	keyFields  = 7
	partFields = 3
)

// Encode returns the change's bytes: fields kind, token, dot, time, keys.
func (m *Change) Encode() []byte {
	w := begin(7)
	w.Uint(uint64(m.Kind))
	w.Str(m.Token.String())
	putDot(w, m.Dot)
	w.Uint(uint64(m.Time))
	w.Array(keyFields * len(m.Keys))
	for i := range m.Keys {
		k := &m.Keys[i]
		w.Bin(k.Key)
		w.Uint(uint64(k.Kind))
		w.Bool(k.Removed)
		w.Bool(k.Whole)
		w.Bin(k.Value)
		w.Uint(uint64(k.Expires))
		w.Array(partFields * len(k.Parts))
		for j := range k.Parts {
			w.Bin(k.Parts[j].Name)
			w.Bin(k.Parts[j].Value)
			w.Bool(k.Parts[j].Removed)
		}
	}
	return w.Bytes()
}

// DecodeChange reads a change. Its slices alias b.
func DecodeChange(b []byte) (Change, error) {
	r, err := open(b, 7)
	if err != nil {
		return Change{}, err
	}
	m := Change{
		Kind: topology.ChangeKind(r.UintMax(uint64(topology.ChangePosition))), Token: getToken(&r),
		Dot: getDot(&r), Time: version.Timestamp(r.Uint()),
	}
	for n := groups(&r, keyFields); n > 0 && r.Err() == nil; n-- {
		k := KeyChange{
			Key: r.BinMax(record.KeyBytesMax), Kind: record.Kind(r.UintMax(255)), Removed: r.Bool(), Whole: r.Bool(),
			Value: r.Bin(), Expires: version.Timestamp(r.Uint()),
		}
		if k.Whole {
			k.Value = whole(k.Value)
		}
		for p := groups(&r, partFields); p > 0 && r.Err() == nil; p-- {
			k.Parts = append(k.Parts, PartChange{Name: r.BinMax(record.FieldBytesMax), Value: r.Bin(), Removed: r.Bool()})
		}
		m.Keys = append(m.Keys, k)
	}
	return m, done(&r)
}

const (
	fedChange = 0
	fedError  = 1
)

// FeedChange returns what a node sends of a change.
func FeedChange(m *Change) []byte { return append([]byte{fedChange}, m.Encode()...) }

// FeedError returns what a node sends last.
func FeedError(err error) []byte { return topology.AppendError([]byte{fedError}, err) }

// DecodeFed reads what a node has sent: a change, or the error that it ends with. The
// change's slices alias b.
func DecodeFed(b []byte) (Change, error) {
	switch {
	case len(b) > 0 && b[0] == fedChange:
		return DecodeChange(b[1:])
	case len(b) > 0 && b[0] == fedError:
		return Change{}, topology.ReadError(b[1:])
	}
	return Change{}, fmt.Errorf("neither a change nor an error: %w", topology.ErrMalformed)
}

// groups reads the header of an array that holds groups of so many values, and
// returns how many groups.
func groups(r *pack.Reader, of int) int {
	n := r.ArrayMax(of * keysMax)
	if n%of != 0 {
		r.Fail("groups are not whole")
	}
	return n / of
}

// SlotOp is what is done to a slot.
type SlotOp uint8

const (
	SlotOpen SlotOp = iota // it is made, or taken over by a new consumer
	SlotAck                // it moves to a token
	SlotDrop               // it goes
	slotOps
)

// SlotRequest asks the leader to change a slot.
type SlotRequest struct {
	Op     SlotOp
	Name   string
	Table  string
	Prefix []byte
	Token  topology.Token // where to begin, or to move to
	Synced bool           // the state was taken in, or is not asked for
	Bytes  uint64
	Claim  uint64 // of whoever acknowledges
}

// Encode returns the request's bytes.
func (m *SlotRequest) Encode() []byte {
	w := begin(8)
	w.Uint(uint64(m.Op))
	w.Str(m.Name)
	w.Str(m.Table)
	w.Bin(m.Prefix)
	w.Str(m.Token.String())
	w.Bool(m.Synced)
	w.Uint(m.Bytes)
	w.Uint(m.Claim)
	return w.Bytes()
}

// DecodeSlotRequest reads a request. Its slices alias b.
func DecodeSlotRequest(b []byte) (SlotRequest, error) {
	r, err := open(b, 8)
	if err != nil {
		return SlotRequest{}, err
	}
	m := SlotRequest{
		Op: SlotOp(r.UintMax(uint64(slotOps) - 1)), Name: r.StrMax(SlotBytesMax), Table: r.StrMax(TableBytesMax),
		Prefix: r.BinMax(record.KeyBytesMax), Token: getToken(&r), Synced: r.Bool(), Bytes: r.Uint(), Claim: r.Uint(),
	}
	return m, done(&r)
}

// Slot is a durable position in the log, as its row has it. A row is the same
// array as a message: format, and the fields in their order.
type Slot struct {
	Name   string // of the row's key; not in the row
	Table  string
	ID     record.TableID
	Prefix []byte
	Token  topology.Token // what is consumed, and everything before
	Synced bool           // the state that was asked for was taken in
	Bytes  uint64         // of log it may hold back
	Claim  uint64         // grows with every consumer that takes it over
	Acked  time.Time      // when it was last moved, or opened
	// Dropped is when it was dropped for being more than Bytes behind, zero if it
	// stands; DroppedAt is the end of the log then.
	Dropped   time.Time
	DroppedAt record.LSN
}

const slotFields = 10

func (s *Slot) put(w *pack.Writer) {
	w.Str(s.Table)
	w.Uint(uint64(s.ID))
	w.Bin(s.Prefix)
	w.Str(s.Token.String())
	w.Bool(s.Synced)
	w.Uint(s.Bytes)
	w.Uint(s.Claim)
	w.Int(s.Acked.UnixMilli())
	if s.Dropped.IsZero() {
		w.Int(0)
	} else {
		w.Int(s.Dropped.UnixMilli())
	}
	w.Uint(uint64(s.DroppedAt))
}

func getSlot(r *pack.Reader) Slot {
	s := Slot{
		Table: r.StrMax(TableBytesMax), ID: record.TableID(r.UintMax(math.MaxUint32)), Prefix: r.BinMax(record.KeyBytesMax),
		Token: getToken(r), Synced: r.Bool(), Bytes: r.Uint(), Claim: r.Uint(), Acked: time.UnixMilli(r.Int()),
	}
	if ms := r.Int(); ms != 0 {
		s.Dropped = time.UnixMilli(ms)
	}
	s.DroppedAt = record.LSN(r.Uint())
	return s
}

// Encode returns the slot's row.
func (s *Slot) Encode() []byte {
	w := begin(slotFields)
	s.put(w)
	return w.Bytes()
}

// DecodeSlot reads a row. Its slices alias b.
func DecodeSlot(name string, b []byte) (Slot, error) {
	r, err := open(b, slotFields)
	if err != nil {
		return Slot{}, err
	}
	s := getSlot(&r)
	s.Name = name
	return s, done(&r)
}

// EncodeSlots returns the bytes of slots.
func EncodeSlots(all []Slot) []byte {
	w := begin(1)
	w.Array((slotFields + 1) * len(all))
	for i := range all {
		w.Str(all[i].Name)
		all[i].put(w)
	}
	return w.Bytes()
}

// DecodeSlots reads slots. Their slices alias b.
func DecodeSlots(b []byte) ([]Slot, error) {
	r, err := open(b, 1)
	if err != nil {
		return nil, err
	}
	var all []Slot
	for n := groups(&r, slotFields+1); n > 0 && r.Err() == nil; n-- {
		name := r.StrMax(SlotBytesMax)
		s := getSlot(&r)
		s.Name = name
		all = append(all, s)
	}
	return all, done(&r)
}
