package call

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Read is a request to read one key: fields table, key, options.
type Read struct {
	Table   string
	Key     []byte
	Options []Option
}

// Encode returns the request's bytes.
func (m *Read) Encode() []byte {
	w := begin(3)
	w.Str(m.Table)
	w.Bin(m.Key)
	putOptions(w, m.Options)
	return w.Bytes()
}

// DecodeRead reads a request. Its slices alias b.
func DecodeRead(b []byte) (Read, error) {
	r, err := open(b, 3)
	if err != nil {
		return Read{}, err
	}
	m := Read{Table: r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax), Options: getOptions(&r)}
	return m, done(&r)
}

// Reading is the answer to a read.
type Reading struct {
	Value     []byte             // the caller's; of a row a msgpack map of its columns
	Dot       version.Dot        // of the write that made it: for IfVersion
	Time      version.Timestamp  // of that write
	Token     topology.Token     // for After: no later read with it sees an older state
	Served    topology.NodeID    // who read its store
	Stale     time.Duration      // upper bound on how stale it may be; 0 if linearizable, -1 if not known
	Guarantee topology.Guarantee // what was met

	// Of a key whose table keeps siblings: all that is concurrent, removals among them, in
	// the order of their writes, of which Value is the last one; none where there is only
	// Value. And what was shown, for [Context]: not zero even if the key holds nothing.
	Siblings []Sibling
	Context  topology.Context
}

// Sibling is one of several concurrent writes of a key.
type Sibling struct {
	Value   []byte
	Removed bool
	Dot     version.Dot
	Time    version.Timestamp
}

const (
	readingFields     = 9
	readingFieldsMore = 11 // with a context, and siblings
	siblingFields     = 6
)

// Encode returns the answer's bytes.
func (m *Reading) Encode() []byte {
	more := !m.Context.IsZero() || len(m.Siblings) > 0
	w := begin(readingFields)
	if more {
		w = beginAs(formatMore, readingFieldsMore)
	}
	w.Bin(m.Value)
	putDot(w, m.Dot)
	w.Uint(uint64(m.Time))
	w.Str(m.Token.String())
	w.Str(string(m.Served))
	w.Int(int64(m.Stale))
	w.Uint(uint64(m.Guarantee))
	if !more {
		return w.Bytes()
	}
	w.Str(m.Context.String())
	w.Array(siblingFields * len(m.Siblings))
	for i := range m.Siblings {
		s := &m.Siblings[i]
		w.Bin(s.Value)
		w.Bool(s.Removed)
		putDot(w, s.Dot)
		w.Uint(uint64(s.Time))
	}
	return w.Bytes()
}

func getSiblings(r *pack.Reader) (out []Sibling) {
	n := r.ArrayMax(siblingFields * record.SiblingsMax)
	if n%siblingFields != 0 {
		r.Fail("siblings are not whole")
	}
	for n /= siblingFields; n > 0 && r.Err() == nil; n-- {
		out = append(out, Sibling{Value: whole(r.BinMax(record.ValueBytesMax)), Removed: r.Bool(), Dot: getDot(r), Time: version.Timestamp(r.Uint())})
	}
	return out
}

// DecodeReading reads an answer. The value aliases b, and is not nil.
func DecodeReading(b []byte) (Reading, error) {
	r, f, err := openAny(formatMore, b, readingFields, readingFieldsMore)
	if err != nil {
		return Reading{}, err
	}
	m := Reading{
		Value: whole(r.Bin()), Dot: getDot(&r), Time: version.Timestamp(r.Uint()), Token: getToken(&r),
		Served: topology.NodeID(r.StrMax(nameBytesMax)), Stale: time.Duration(r.Int()), Guarantee: topology.Guarantee(r.UintMax(255)),
	}
	if f == formatMore {
		if m.Context, m.Siblings = getContext(&r), getSiblings(&r); m.Context.IsZero() && len(m.Siblings) == 0 {
			r.Fail("format 2 without siblings")
		}
	}
	return m, done(&r)
}

// whole returns b, and an empty slice for nil: what holds no bytes is there.
func whole(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Scan is a request for a page of keys from <= key < to: fields table, from, to,
// items, options.
type Scan struct {
	Table    string
	From, To []byte
	Items    int // at most; 0 and more than PageItemsMax are PageItemsMax
	Options  []Option
}

// Encode returns the request's bytes.
func (m *Scan) Encode() []byte {
	w := begin(5)
	w.Str(m.Table)
	w.Bin(m.From)
	w.Bin(m.To)
	w.Uint(uint64(max(0, m.Items)))
	putOptions(w, m.Options)
	return w.Bytes()
}

// DecodeScan reads a request. Its slices alias b.
func DecodeScan(b []byte) (Scan, error) {
	r, err := open(b, 5)
	if err != nil {
		return Scan{}, err
	}
	m := Scan{
		Table: r.StrMax(TableBytesMax), From: r.BinMax(record.KeyBytesMax + 1), To: r.BinMax(record.KeyBytesMax + 1),
		Items: int(min(r.Uint(), PageItemsMax)), Options: getOptions(&r),
	}
	if m.Items == 0 {
		m.Items = PageItemsMax
	}
	return m, done(&r)
}

// Item is one key of a scan. The slices are the caller's.
type Item struct {
	Key   []byte
	Value []byte // empty where Kind is not any
	Dot   version.Dot
	Time  version.Timestamp
	Kind  record.Kind // map or set, of a key whose parts are not shown; else any
}

// Page is a part of a scan, from one consistent view: fields items, more.
type Page struct {
	Items []Item
	More  bool // there may be more, from after the last item on
}

// An item has one field more in a page in which a key has parts.
const (
	itemFields     = 6
	itemFieldsMore = 7
)

// Encode returns the page's bytes.
func (m *Page) Encode() []byte {
	parted := slices.ContainsFunc(m.Items, func(it Item) bool { return it.Kind != record.KindAny })
	w := begin(2)
	fields := itemFields
	if parted {
		w, fields = beginAs(formatMore, 2), itemFieldsMore
	}
	w.Array(fields * len(m.Items))
	for i := range m.Items {
		it := &m.Items[i]
		w.Bin(it.Key)
		w.Bin(it.Value)
		putDot(w, it.Dot)
		w.Uint(uint64(it.Time))
		if parted {
			w.Uint(uint64(it.Kind))
		}
	}
	w.Bool(m.More)
	return w.Bytes()
}

// DecodePage reads a page. Its slices alias b.
func DecodePage(b []byte) (Page, error) {
	r, f, err := openTo(formatMore, b, 2)
	if err != nil {
		return Page{}, err
	}
	fields := itemFields
	if f == formatMore {
		fields = itemFieldsMore
	}
	n := r.ArrayMax(fields * PageItemsMax)
	if n%fields != 0 {
		r.Fail("items are not whole")
	}
	m := Page{Items: make([]Item, 0, n/fields)}
	parted := false
	for n /= fields; n > 0 && r.Err() == nil; n-- {
		it := Item{Key: r.BinMax(record.KeyBytesMax), Value: whole(r.Bin()), Dot: getDot(&r), Time: version.Timestamp(r.Uint())}
		if f == formatMore {
			it.Kind = record.Kind(r.UintMax(math.MaxUint8))
			parted = parted || it.Kind != record.KindAny
		}
		m.Items = append(m.Items, it)
	}
	m.More = r.Bool()
	if f == formatMore && !parted {
		r.Fail("format 2 without a key that has parts")
	}
	return m, done(&r)
}

// EncodeToken returns a token's bytes.
func EncodeToken(t topology.Token) []byte {
	w := begin(1)
	w.Str(t.String())
	return w.Bytes()
}

// DecodeToken reads a token.
func DecodeToken(b []byte) (topology.Token, error) {
	r, err := open(b, 1)
	if err != nil {
		return topology.Token{}, err
	}
	t := getToken(&r)
	return t, done(&r)
}

// EncodeNothing returns the bytes of a message that says nothing more.
func EncodeNothing() []byte { return begin(0).Bytes() }

// DecodeNothing reads a message that says nothing more.
func DecodeNothing(b []byte) error {
	r, err := open(b, 0)
	if err != nil {
		return err
	}
	return done(&r)
}

// EncodeForce returns the bytes of a request for a promotion.
func EncodeForce(force bool) []byte {
	w := begin(1)
	w.Bool(force)
	return w.Bytes()
}

// DecodeForce reads a request for a promotion.
func DecodeForce(b []byte) (bool, error) {
	r, err := open(b, 1)
	if err != nil {
		return false, err
	}
	force := r.Bool()
	return force, done(&r)
}

// EncodePromotion returns the bytes of what a promotion did.
func EncodePromotion(p topology.Promotion) []byte {
	w := begin(5)
	putPromotion(w, &p)
	return w.Bytes()
}

func putPromotion(w *pack.Writer, p *topology.Promotion) {
	w.Uint(p.Term)
	w.Str(string(p.Leader))
	w.Uint(uint64(p.Start))
	putNodes(w, p.Reached)
	putNodes(w, p.Missed)
}

func getPromotion(r *pack.Reader) topology.Promotion {
	return topology.Promotion{
		Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Start: record.LSN(r.Uint()),
		Reached: getNodes(r), Missed: getNodes(r),
	}
}

// DecodePromotion reads what a promotion did.
func DecodePromotion(b []byte) (topology.Promotion, error) {
	r, err := open(b, 5)
	if err != nil {
		return topology.Promotion{}, err
	}
	p := getPromotion(&r)
	return p, done(&r)
}

// Table is a table's definition.
type Table struct {
	Name     string
	Kind     record.Kind
	TTL      time.Duration // in whole milliseconds; 0: none
	Resolver string        // what settles concurrent writes, where several sites write; empty: that of the kind
}

const resolverBytesMax = 1 << 10

const ttlMillisecondsMax = uint64(math.MaxInt64 / time.Millisecond)

// EncodeTables returns the bytes of definitions: two fields each, three where one of
// them has a TTL, four where one names a resolver.
func EncodeTables(ts []Table) []byte {
	f := tablesFormat(ts)
	w := beginAs(f, 1)
	w.Array(int(f+1) * len(ts))
	for _, t := range ts {
		w.Str(t.Name)
		w.Uint(uint64(t.Kind))
		if f >= formatMore {
			w.Uint(uint64(t.TTL / time.Millisecond))
		}
		if f >= formatResolvers {
			w.Str(t.Resolver)
		}
	}
	return w.Bytes()
}

// formatResolvers is the format of tables of which one names a resolver.
const formatResolvers = 3

// tablesFormat is the lowest format that says all there is to say.
func tablesFormat(ts []Table) uint64 {
	switch {
	case slices.ContainsFunc(ts, func(t Table) bool { return t.Resolver != "" }):
		return formatResolvers
	case slices.ContainsFunc(ts, func(t Table) bool { return t.TTL != 0 }):
		return formatMore
	}
	return format
}

// DecodeTables reads definitions.
func DecodeTables(b []byte) ([]Table, error) {
	r, f, err := openTo(formatResolvers, b, 1)
	if err != nil {
		return nil, err
	}
	fields := int(f + 1)
	n := r.ArrayMax(fields * TablesMax)
	if n%fields != 0 {
		r.Fail("tables are not whole")
	}
	var ts []Table
	for n /= fields; n > 0 && r.Err() == nil; n-- {
		t := Table{Name: r.StrMax(TableBytesMax), Kind: record.Kind(r.UintMax(math.MaxUint8))}
		if f >= formatMore {
			t.TTL = time.Duration(r.UintMax(ttlMillisecondsMax)) * time.Millisecond
		}
		if f >= formatResolvers {
			t.Resolver = r.StrMax(resolverBytesMax)
		}
		ts = append(ts, t)
	}
	if f != tablesFormat(ts) {
		r.Fail(fmt.Sprintf("format %d without what it is for", f))
	}
	return ts, done(&r)
}

// EncodeName returns the bytes of a table's name.
func EncodeName(name string) []byte {
	w := begin(1)
	w.Str(name)
	return w.Bytes()
}

// DecodeName reads a table's name.
func DecodeName(b []byte) (string, error) {
	r, err := open(b, 1)
	if err != nil {
		return "", err
	}
	name := r.StrMax(TableBytesMax)
	return name, done(&r)
}

func putTime(w *pack.Writer, t time.Time) {
	if t.IsZero() {
		w.Nil()
		return
	}
	w.Int(t.UnixNano())
}

func getTime(r *pack.Reader) time.Time {
	if r.Nil() {
		return time.Time{}
	}
	return time.Unix(0, r.Int())
}
