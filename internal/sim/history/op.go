package history

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/version"
)

// Kind is what an operation asks for.
type Kind string

const (
	Get           Kind = "get"      // Got: what Key holds; several values are siblings
	Put           Kind = "put"      // Key becomes Value
	Delete        Kind = "delete"   // Key holds nothing
	CompareAndSet Kind = "cas"      // Key becomes Value if it holds Expect; an empty Expect: if it holds nothing
	Increment     Kind = "inc"      // Key, a number in decimal, grows by Amount; Got: what it has become
	Transfer      Kind = "transfer" // Amount goes from Key to To, in one atomic write
	Scan          Kind = "scan"     // Rows: all keys that begin with Key, in one consistent view
)

// Writes reports whether operations of kind k change something.
func (k Kind) Writes() bool { return k != Get && k != Scan }

func (k Kind) valid() bool {
	switch k {
	case Get, Put, Delete, CompareAndSet, Increment, Transfer, Scan:
		return true
	}
	return false
}

// Outcome is what became of an operation, as its client was told.
type Outcome string

const (
	Applied    Outcome = "applied"
	NotApplied Outcome = "notapplied" // it did not happen and will not
	Unknown    Outcome = "unknown"    // it may have happened, or may yet
)

// Guarantee is what a read asked for.
type Guarantee string

const (
	Any          Guarantee = "any"          // whatever the node holds
	Bounded      Guarantee = "bounded"      // no staler than Bound
	Session      Guarantee = "session"      // at least what the session has seen
	Linearizable Guarantee = "linearizable" // at least what was acknowledged before it was asked
)

// Forever is when an operation of unknown outcome is over.
const Forever = time.Duration(math.MaxInt64)

// Place is where a write stands, or what a read has seen: as the system says.
// The zero Place is not known.
type Place struct {
	Dot  version.Dot       `json:"dot,omitzero"`  // of the write; of the version that was read
	Time version.Timestamp `json:"time,omitzero"` // of that version (rule C4)
	Term uint64            `json:"term,omitzero"` // single-leader: of the receipt, or of the reading's token
	LSN  uint64            `json:"lsn,omitzero"`
}

// Op is one operation of one client.
type Op struct {
	ID      uint64        `json:"id"`               // unique in its history, in the order of asking
	Client  uint64        `json:"client"`           // from 1
	Session uint64        `json:"session,omitzero"` // 0: none
	Node    string        `json:"node,omitzero"`    // who was asked
	Kind    Kind          `json:"kind"`             //
	Key     string        `json:"key"`              //
	To      string        `json:"to,omitzero"`      // Transfer
	Value   string        `json:"value,omitzero"`   // Put, CompareAndSet; unique in its history
	Expect  string        `json:"expect,omitzero"`  // CompareAndSet
	Amount  int64         `json:"amount,omitzero"`  // Increment, Transfer
	Want    Request       `json:"want,omitzero"`    // Get, Scan
	Invoke  time.Duration `json:"invoke"`           // since the history began
	Late    time.Duration `json:"late,omitzero"`    // by which it was asked after it was due, in an open loop
	Return  time.Duration `json:"return"`           // when the client had its answer, or gave up
	Outcome Outcome       `json:"outcome"`          //
	Refused bool          `json:"refused,omitzero"` // with NotApplied: the condition was judged, and does not hold
	Got     []string      `json:"got,omitzero"`     // Get, Increment; nothing where the key holds nothing
	Rows    []Row         `json:"rows,omitzero"`    // Scan, by key
	Place   Place         `json:"place,omitzero"`   // with Applied
	Error   string        `json:"error,omitzero"`   // without
}

// Request is what a read asked for.
type Request struct {
	Guarantee Guarantee     `json:"guarantee,omitzero"` // empty is Linearizable
	Bound     time.Duration `json:"bound,omitzero"`     // Bounded, in time; 0 is no bound
	Lag       uint64        `json:"lag,omitzero"`       // Bounded, in records; 0 is no bound
}

// Row is one key of a scan.
type Row struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Place Place  `json:"place,omitzero"`
}

// Guarantee is what a read asked for, never empty.
func (o Op) Guarantee() Guarantee {
	if o.Want.Guarantee == "" {
		return Linearizable
	}
	return o.Want.Guarantee
}

// End is the last moment at which the operation may have taken effect.
func (o Op) End() time.Duration {
	if o.Outcome == Unknown {
		return Forever
	}
	return o.Return
}

// Took is how long its client waited for the answer, from when it was due; 0 if there
// was none.
func (o Op) Took() time.Duration {
	if o.Return == 0 {
		return 0
	}
	return o.Return - o.Invoke + o.Late
}

// Only returns the one value that a read got; false for none, or for siblings.
func (o Op) Only() (string, bool) {
	if len(o.Got) != 1 {
		return "", false
	}
	return o.Got[0], true
}

// String is the operation in a line, as a report names it.
func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d client %d", o.ID, o.Client)
	if o.Session != 0 {
		fmt.Fprintf(&b, " session %d", o.Session)
	}
	fmt.Fprintf(&b, ": %s", o.asked())
	if o.Node != "" {
		fmt.Fprintf(&b, " at %s", o.Node)
	}
	fmt.Fprintf(&b, " %s", o.answered())
	end := "…"
	if o.Return != 0 {
		end = o.Return.String()
	}
	fmt.Fprintf(&b, " [%v, %s]", o.Invoke, end)
	return b.String()
}

func (o Op) asked() string {
	switch o.Kind {
	case Put:
		return fmt.Sprintf("put %s=%s", o.Key, o.Value)
	case CompareAndSet:
		expect := o.Expect
		if expect == "" {
			expect = "nothing"
		}
		return fmt.Sprintf("cas %s: %s→%s", o.Key, expect, o.Value)
	case Increment:
		return fmt.Sprintf("inc %s by %d", o.Key, o.Amount)
	case Transfer:
		return fmt.Sprintf("transfer %d from %s to %s", o.Amount, o.Key, o.To)
	case Get, Scan:
		return fmt.Sprintf("%s %s (%s)", o.Kind, o.Key, o.Guarantee())
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Key)
}

func (o Op) answered() string {
	switch {
	case o.Outcome == Applied && o.Kind == Scan:
		return fmt.Sprintf("→ %d rows", len(o.Rows))
	case o.Outcome == Applied && (o.Kind == Get || o.Kind == Increment):
		if len(o.Got) == 0 {
			return "→ nothing" + o.Place.String()
		}
		return "→ " + strings.Join(o.Got, " | ") + o.Place.String()
	case o.Outcome == Applied:
		return "applied" + o.Place.String()
	case o.Refused:
		return "refused: the condition does not hold"
	case o.Error != "":
		return string(o.Outcome) + ": " + o.Error
	}
	return string(o.Outcome)
}

// IsZero reports whether nothing is known of the place.
func (p Place) IsZero() bool { return p == Place{} }

func (p Place) String() string {
	s := ""
	if !p.Dot.IsZero() {
		s += " " + p.Dot.String()
	}
	if p.LSN != 0 {
		s += fmt.Sprintf(" (term %d, LSN %d)", p.Term, p.LSN)
	}
	return s
}

// Number reads a value that counts.
func Number(value string) (int64, error) { return strconv.ParseInt(value, 10, 64) }

var errMalformed = errors.New("malformed history")
