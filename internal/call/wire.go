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

// Methods of a node for remote clients.
const (
	MethodPut      = "client.put"      // Write of one put → Receipt
	MethodDelete   = "client.delete"   // Write of one removal → Receipt
	MethodBatch    = "client.batch"    // Write → Receipt
	MethodGet      = "client.get"      // Read → Reading
	MethodScan     = "client.scan"     // Scan → Page
	MethodWait     = "client.wait"     // a token → nothing
	MethodStatus   = "client.status"   // nothing → topology.Status
	MethodTables   = "client.tables"   // nothing → Tables
	MethodCreate   = "client.create"   // Tables of one → nothing
	MethodDrop     = "client.drop"     // a table's name → nothing
	MethodPromote  = "client.promote"  // whether by force → topology.Promotion
	MethodResolve  = "client.resolve"  // a dot and its term → topology.Resolution
	MethodHandover = "client.handover" // a node's name → topology.Promotion
	MethodRestore  = "client.restore"  // Restore → topology.Restoration
	MethodPause    = "client.pause"    // whether → nothing
	MethodHistory  = "client.history"  // nothing → Past
	MethodExplain  = "client.explain"  // nothing → topology.Explanation
	MethodApprove  = "client.approve"  // nothing → a number of records
	MethodEnrol    = "client.enrol"    // a topology.Seat → nothing
	MethodDismiss  = "client.dismiss"  // a node's name → nothing
	MethodSite     = "client.site"     // a SiteChange → nothing
)

// Limits of what is read from the wire.
const (
	TableBytesMax = 64      // of a table's name
	TablesMax     = 1 << 16 // tables of one answer
	PageItemsMax  = 1 << 10 // items of one page of a scan
	PageBytesMax  = 1 << 20 // keys and values of a page, but for its last item
	optionsMax    = 8       // options of one call
	nodesMax      = 1 << 12 // nodes named in one answer
	textBytesMax  = 1 << 12 // of a text for people
	nameBytesMax  = 256
)

// CheckKey holds a key to its limits.
func CheckKey(key []byte) error {
	switch {
	case len(key) == 0:
		return fmt.Errorf("an empty key: %w", topology.ErrMalformed)
	case len(key) > record.KeyBytesMax:
		return fmt.Errorf("key of %d bytes, at most %d: %w", len(key), record.KeyBytesMax, topology.ErrTooLarge)
	}
	return nil
}

// CheckBounds holds the bounds of a scan to their limits.
func CheckBounds(from, to []byte) error {
	if n := max(len(from), len(to)); n > record.KeyBytesMax+1 {
		return fmt.Errorf("a bound of %d bytes, at most %d: %w", n, record.KeyBytesMax+1, topology.ErrTooLarge)
	}
	return nil
}

// Check holds a request to the limits of what can be sent.
func (m *Write) Check() error {
	if len(m.Writes) > record.MutationsMax || len(m.Conditions) > record.ConditionsMax {
		return fmt.Errorf("%d writes and %d conditions, at most %d and %d: %w",
			len(m.Writes), len(m.Conditions), record.MutationsMax, record.ConditionsMax, topology.ErrTooLarge)
	}
	bytes := 0
	for i := range m.Writes {
		w := &m.Writes[i]
		if err := CheckKey(w.Key); err != nil {
			return err
		}
		if len(w.Value) > record.ValueBytesMax {
			return fmt.Errorf("value of %d bytes, at most %d: %w", len(w.Value), record.ValueBytesMax, topology.ErrTooLarge)
		}
		if bytes += len(w.Key) + len(w.Value); bytes > record.BatchBytesMax {
			return fmt.Errorf("a batch of more than %d bytes: %w", record.BatchBytesMax, topology.ErrTooLarge)
		}
	}
	for i := range m.Conditions {
		if err := CheckKey(m.Conditions[i].Key); err != nil {
			return err
		}
	}
	return nil
}

// Every message is a msgpack array that begins with its format: 1, or where it says
// what format 1 cannot, 2. A reader refuses a format it does not know and anything
// beyond the fields it knows: an option it would not honour is not one it may skip.
const (
	format     = 1
	formatMore = 2 // of tables that have a TTL, of pages with keys that have parts, of members whose sites have leaders of their own
)

func begin(fields int) *pack.Writer { return beginAs(format, fields) }

func beginAs(format uint64, fields int) *pack.Writer {
	w := pack.NewWriter(nil)
	w.Array(fields + 1)
	w.Uint(format)
	return w
}

func open(b []byte, fields int) (pack.Reader, error) {
	r, _, err := openTo(format, b, fields)
	return r, err
}

// openTo opens a message of a format up to most, and returns which it is.
func openTo(most uint64, b []byte, fields int) (r pack.Reader, f uint64, err error) {
	r = pack.NewReader(b)
	n := r.Array()
	if f = r.Uint(); r.Err() == nil && (f < format || f > most) {
		return r, f, fmt.Errorf("a message of format %d, this version knows %d: %w", f, most, topology.ErrUnsupported)
	}
	if n != fields+1 {
		r.Fail(fmt.Sprintf("%d fields expected, found %d", fields+1, n))
	}
	return r, f, nil
}

// openAny opens a message that has other fields in each of its formats, from 1 on.
func openAny(most uint64, b []byte, fields ...int) (r pack.Reader, f uint64, err error) {
	r = pack.NewReader(b)
	r.Array()
	f = r.Uint()
	if r.Err() != nil || f < format || f > uint64(len(fields)) {
		f = format
	}
	return openTo(most, b, fields[f-1])
}

func done(r *pack.Reader) error {
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	return nil
}

// Write is a request to write: fields writes, conditions, options.
type Write struct {
	Writes     []One
	Conditions []Condition
	Options    []Option
}

// One is one write: a put, or a removal.
type One struct {
	Table  string
	Key    []byte
	Value  []byte
	Remove bool
}

// Condition is a condition on a key other than the one that is written.
type Condition struct {
	Table  string
	Key    []byte
	Option Option
}

// Encode returns the request's bytes.
func (m *Write) Encode() []byte {
	w := begin(3)
	w.Array(4 * len(m.Writes))
	for i := range m.Writes {
		o := &m.Writes[i]
		w.Str(o.Table)
		w.Bin(o.Key)
		w.Bin(o.Value)
		w.Bool(o.Remove)
	}
	w.Array(3 * len(m.Conditions))
	for i := range m.Conditions {
		c := &m.Conditions[i]
		w.Str(c.Table)
		w.Bin(c.Key)
		putOption(w, &c.Option)
	}
	putOptions(w, m.Options)
	return w.Bytes()
}

// DecodeWrite reads a request. Its slices alias b.
func DecodeWrite(b []byte) (Write, error) {
	var m Write
	r, err := open(b, 3)
	if err != nil {
		return m, err
	}
	n := r.ArrayMax(4 * record.MutationsMax)
	if n%4 != 0 {
		r.Fail("writes are not whole")
	}
	for n /= 4; n > 0 && r.Err() == nil; n-- {
		m.Writes = append(m.Writes, One{
			Table: r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax),
			Value: r.BinMax(record.ValueBytesMax), Remove: r.Bool(),
		})
	}
	n = r.ArrayMax(3 * record.ConditionsMax)
	if n%3 != 0 {
		r.Fail("conditions are not whole")
	}
	for n /= 3; n > 0 && r.Err() == nil; n-- {
		m.Conditions = append(m.Conditions, Condition{
			Table: r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax), Option: getOption(&r),
		})
	}
	m.Options = getOptions(&r)
	return m, done(&r)
}

// An option is a msgpack array of two: its kind, and what it says.
func putOption(w *pack.Writer, o *Option) {
	w.Array(2)
	w.Uint(uint64(o.wish))
	switch o.wish {
	case WishDurability:
		w.Uint(uint64(o.durability))
	case WishConsistency:
		w.Uint(uint64(o.level))
	case WishAfter:
		w.Str(o.token.String())
	case WishMaxStale:
		w.Int(int64(o.stale))
	case WishMaxLag:
		w.Uint(o.lag)
	case WishMaxBytes:
		w.Uint(o.bytes)
	case WishIfVersion:
		w.Array(3)
		putDot(w, o.dot)
	case WishIfValue:
		w.Bin(o.value)
	case WishRequest:
		w.Array(2)
		w.Uint(o.request.Client)
		w.Uint(o.request.Seq)
	case WishTTL:
		w.Uint(uint64(o.ttl / time.Millisecond))
	case WishContext:
		w.Str(o.context.String())
	default:
		w.Nil()
	}
}

func getOption(r *pack.Reader) Option {
	r.ArrayOf(2)
	o := Option{wish: Wish(r.UintMax(math.MaxUint16))}
	switch o.wish {
	case WishDurability:
		o.durability = topology.Durability(r.UintMax(uint64(topology.Applied)))
	case WishConsistency:
		o.level = topology.Consistency(r.UintMax(uint64(topology.ConsistencyLast)))
	case WishAfter:
		o.token = getToken(r)
	case WishMaxStale:
		o.stale = time.Duration(r.Int())
	case WishMaxLag:
		o.lag = r.Uint()
	case WishMaxBytes:
		o.bytes = r.Uint()
	case WishIfVersion:
		r.ArrayOf(3)
		o.dot = getDot(r)
	case WishIfValue:
		o.value = r.BinMax(record.ValueBytesMax)
	case WishRequest:
		r.ArrayOf(2)
		o.request = record.RequestID{Client: r.Uint(), Seq: r.Uint()}
	case WishTTL:
		o.ttl = time.Duration(r.UintMax(uint64(TTLMax/time.Millisecond))) * time.Millisecond
	case WishContext:
		o.context = getContext(r)
	case WishLinearizable, WishLeased, WishAny, WishIfAbsent:
		if !r.Nil() {
			r.Fail("an option without a value has one")
		}
	default:
		r.Fail(fmt.Sprintf("option %d is not known", o.wish))
	}
	return o
}

func putOptions(w *pack.Writer, opts []Option) {
	w.Array(len(opts))
	for i := range opts {
		putOption(w, &opts[i])
	}
}

func getOptions(r *pack.Reader) []Option {
	var opts []Option
	for n := r.ArrayMax(optionsMax); n > 0 && r.Err() == nil; n-- {
		opts = append(opts, getOption(r))
	}
	return opts
}

func putDot(w *pack.Writer, d version.Dot) {
	w.Uint(uint64(d.Origin.ID))
	w.Uint(uint64(d.Origin.Incarnation))
	w.Uint(d.Seq)
}

func getDot(r *pack.Reader) version.Dot {
	return version.Dot{
		Origin: version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))},
		Seq:    r.Uint(),
	}
}

func getToken(r *pack.Reader) topology.Token {
	t, err := topology.ParseToken(r.StrMax(topology.VectorTokenBytesMax))
	if err != nil {
		r.Fail(err.Error())
	}
	return t
}

func getContext(r *pack.Reader) topology.Context {
	c, err := topology.ParseContext(r.StrMax(topology.ContextBytesMax))
	if err != nil {
		r.Fail(err.Error())
	}
	return c
}

// EncodeReceipt returns a receipt's bytes.
func EncodeReceipt(m topology.Receipt) []byte {
	w := begin(9)
	w.Str(m.Token.String())
	putDot(w, m.Dot)
	w.Uint(uint64(m.LSN))
	w.Uint(m.Term)
	w.Uint(uint64(m.Time))
	w.Uint(uint64(m.Durability))
	putNodes(w, m.Durable)
	return w.Bytes()
}

// DecodeReceipt reads a receipt.
func DecodeReceipt(b []byte) (topology.Receipt, error) {
	r, err := open(b, 9)
	if err != nil {
		return topology.Receipt{}, err
	}
	m := topology.Receipt{
		Token: getToken(&r), Dot: getDot(&r), LSN: record.LSN(r.Uint()), Term: r.Uint(), Time: version.Timestamp(r.Uint()),
		Durability: topology.Durability(r.UintMax(255)), Durable: getNodes(&r),
	}
	return m, done(&r)
}

func putNodes(w *pack.Writer, ids []topology.NodeID) {
	w.Array(len(ids))
	for _, id := range ids {
		w.Str(string(id))
	}
}

func getNodes(r *pack.Reader) []topology.NodeID {
	var ids []topology.NodeID
	for n := r.ArrayMax(nodesMax); n > 0 && r.Err() == nil; n-- {
		ids = append(ids, topology.NodeID(r.StrMax(nameBytesMax)))
	}
	return ids
}
