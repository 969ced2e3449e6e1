package topology

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// overTheWire is what the other side gets of err.
func overTheWire(t *testing.T, err error) *Error {
	t.Helper()
	b := AppendError(nil, err)
	require.LessOrEqual(t, len(b), ErrorBytesMax)
	got := ReadError(b)
	var e *Error
	require.ErrorAs(t, got, &e)
	require.Same(t, e, got, "ReadError returns the *Error itself")
	return e
}

func TestErrorArrivesWithEveryField(t *testing.T) {
	sent := &Error{
		Op: "put", Node: "b", Table: "users", Key: []byte("1001\x00\xff"), Outcome: Unknown,
		Dot:    version.Dot{Origin: version.Origin{ID: 7, Incarnation: 2}, Seq: 1 << 40},
		Leader: "a", Addr: "10.0.0.1:7400", Err: ErrNotLeader,
	}
	require.Equal(t, sent, overTheWire(t, sent))
}

func TestErrorKeepsItsOutcome(t *testing.T) {
	for _, o := range []Outcome{NotApplied, Unknown} {
		require.Equal(t, o, OutcomeOf(overTheWire(t, &Error{Outcome: o, Err: ErrOverloaded})))
	}
}

func TestErrorIsTheSameSentinelAfterTheWire(t *testing.T) {
	for _, s := range sentinels[1:] {
		for name, err := range map[string]error{
			"bare":             s,
			"inside an Error":  &Error{Err: s},
			"wrapped":          &Error{Err: fmt.Errorf("disk /dev/x: %w", s)},
			"around an Error":  fmt.Errorf("put: %w", &Error{Err: s}),
			"joined to others": errors.Join(errors.New("else"), s),
		} {
			got := overTheWire(t, err)
			for _, other := range sentinels[1:] {
				require.Equal(t, errors.Is(err, other), errors.Is(got, other), "%s %v: is %v", name, s, other)
			}
		}
	}
}

func TestErrorThatIsASentinelAndNothingElseArrivesAsThatSentinel(t *testing.T) {
	require.Equal(t, ErrStale, overTheWire(t, &Error{Err: ErrStale}).Err)
}

func TestErrorKeepsAllItsSentinels(t *testing.T) {
	got := overTheWire(t, &Error{Err: fmt.Errorf("%w: %w", ErrUnavailable, ErrQuarantined)})
	require.ErrorIs(t, got, ErrUnavailable)
	require.ErrorIs(t, got, ErrQuarantined)
	require.NotErrorIs(t, got, ErrTimeout)
	require.Equal(t, "unavailable: quarantined (not applied)", got.Error())
}

func TestErrorOfNoKindArrivesAsUnknownWithItsText(t *testing.T) {
	got := overTheWire(t, errors.New("pipe broke"))
	require.Equal(t, Unknown, got.Outcome)
	require.EqualError(t, got.Err, "pipe broke")
	for _, s := range sentinels[1:] {
		require.NotErrorIs(t, got, s)
	}
}

func TestErrorOfAnEndedContextArrivesAsTimeout(t *testing.T) {
	for _, ctxErr := range []error{context.DeadlineExceeded, context.Canceled} {
		got := overTheWire(t, fmt.Errorf("waiting: %w", ctxErr))
		require.ErrorIs(t, got, ErrTimeout)
		require.Equal(t, Unknown, got.Outcome)
		require.Equal(t, NotApplied, overTheWire(t, &Error{Outcome: NotApplied, Err: ctxErr}).Outcome)
	}
}

func TestErrorThatIsMissingNeverArrivesAsSuccess(t *testing.T) {
	for name, err := range map[string]error{
		"nil":               nil,
		"nil *Error":        (*Error)(nil),
		"nil *Error inside": fmt.Errorf("get: %w", (*Error)(nil)),
		"without a cause":   &Error{Outcome: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			got := overTheWire(t, err)
			require.Equal(t, Unknown, got.Outcome)
			require.EqualError(t, got.Err, "no error was given")
		})
	}
}

func TestErrorIsCutToItsLimits(t *testing.T) {
	long := strings.Repeat("ä", ErrorTextBytesMax)
	got := overTheWire(t, &Error{
		Op: long, Node: NodeID(long), Table: long, Key: make([]byte, 2*record.KeyBytesMax),
		Leader: NodeID(long), Addr: long, Err: fmt.Errorf("x%s%w", long, ErrFailed),
	})
	require.Equal(t, long[:ErrorNameBytesMax], got.Op)
	require.Equal(t, NodeID(long[:ErrorNameBytesMax]), got.Node)
	require.Equal(t, long[:ErrorNameBytesMax], got.Table)
	require.Len(t, got.Key, record.KeyBytesMax)
	require.Equal(t, NodeID(long[:ErrorNameBytesMax]), got.Leader)
	require.Equal(t, long[:ErrorNameBytesMax], got.Addr)
	require.Equal(t, "x"+long[:ErrorTextBytesMax-2], got.Err.Error(), "cut between two runes")
	require.ErrorIs(t, got, ErrFailed)
}

func TestErrorWithTextThatIsNotUTF8StillArrives(t *testing.T) {
	got := overTheWire(t, &Error{Op: "a\xff", Err: errors.New("\xc3(")})
	require.Equal(t, "a\uFFFD", got.Op)
	require.Equal(t, "\uFFFD(", got.Err.Error())
}

func TestErrorKeepsNothingOfTheMessage(t *testing.T) {
	b := AppendError(nil, &Error{Op: "get", Key: []byte("key"), Err: errors.New("text")})
	var got *Error
	require.ErrorAs(t, ReadError(b), &got)
	clear(b)
	require.Equal(t, "get", got.Op)
	require.Equal(t, []byte("key"), got.Key)
	require.EqualError(t, got.Err, "text")
}

func TestAppendErrorKeepsWhatStandsBefore(t *testing.T) {
	b := AppendError([]byte("head"), ErrClosed)
	require.Equal(t, "head", string(b[:4]))
	require.ErrorIs(t, ReadError(b[4:]), ErrClosed)
}

func TestErrorFromANewerNodeIsRead(t *testing.T) {
	newer := func(outcome uint64) []byte {
		w := pack.NewWriter(nil)
		w.Array(errorFields + 2)
		w.Array(4)
		w.Uint(0)
		w.Uint(uint64(len(sentinels)))
		w.Uint(1 << 33)
		w.Uint(2)
		w.Uint(outcome)
		for range 3 {
			w.Str("")
		}
		w.Bin(nil)
		for range 3 {
			w.Uint(0)
		}
		for range 3 {
			w.Str("")
		}
		w.Uint(4)
		w.Map(1)
		w.Str("added")
		w.Bool(true)
		w.Nil()
		return w.Bytes()
	}
	var e *Error
	require.ErrorAs(t, ReadError(newer(0)), &e)
	require.Equal(t, NotApplied, e.Outcome)
	require.ErrorIs(t, e, ErrNotLeader)
	require.NotErrorIs(t, e, ErrMalformed)
	require.Equal(t, uint64(4), e.Term)

	require.ErrorAs(t, ReadError(newer(9)), &e)
	require.Equal(t, Unknown, e.Outcome, "an outcome that is not known is unknown")
}

// An older node says no term.
func TestErrorFromAnOlderNodeIsRead(t *testing.T) {
	b := AppendError(nil, &Error{Outcome: Unknown, Op: "put", Term: 5, Err: ErrClosed})
	b = b[:len(b)-1]
	b[0]-- // twelve fields
	var e *Error
	require.ErrorAs(t, ReadError(b), &e)
	require.ErrorIs(t, e, ErrClosed)
	require.NotErrorIs(t, e, ErrMalformed)
	require.Zero(t, e.Term)
}

func TestErrorThatCannotBeReadIsUnknownAndMalformed(t *testing.T) {
	good := AppendError(nil, &Error{Outcome: NotApplied, Op: "put", Key: []byte("k"), Err: ErrClosed})
	bad := map[string][]byte{
		"empty":            nil,
		"array of 4 G":     {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01},
		"not an array":     {0xc0},
		"too few fields":   {0x90},
		"something behind": append(append([]byte{}, good...), 0),
		"a long name":      bytesOf(func(w *pack.Writer) { w.Array(errorFields); w.Array(0); w.Uint(0); w.Str(strings.Repeat("x", 257)) }),
		"many sentinels":   bytesOf(func(w *pack.Writer) { w.Array(errorFields); w.Array(65); w.Raw(make([]byte, 100)) }),
	}
	for i := range good {
		bad[fmt.Sprintf("cut to %d bytes", i)] = good[:i]
	}
	for name, b := range bad {
		var e *Error
		require.ErrorAs(t, ReadError(b), &e, name)
		require.Equal(t, Unknown, e.Outcome, name)
		require.ErrorIs(t, e, ErrMalformed, name)
	}
}

func bytesOf(write func(*pack.Writer)) []byte {
	w := pack.NewWriter(nil)
	write(w)
	return w.Bytes()
}

// The numbers are a format: this list only grows.
func TestSentinelNumbersNeverChange(t *testing.T) {
	want := []error{
		nil, ErrNotFound, ErrNotLeader, ErrUnavailable, ErrTimeout, ErrConditionFailed, ErrConflict, ErrTooLarge,
		ErrUnsupported, ErrNoTable, ErrMalformed, ErrStale, ErrRewound, ErrCompacted, ErrOverloaded, ErrQuarantined,
		ErrClosed, ErrDiskFull, ErrFailed, ErrDenied, ErrStoreFailed, ErrForgotten,
	}
	require.Equal(t, want, sentinels[:])
}

func TestEverySentinelOfThePackageHasANumber(t *testing.T) {
	declared := 0
	for _, name := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					if strings.HasPrefix(n.Name, "Err") {
						declared++
					}
				}
			}
		}
	}
	require.Equal(t, declared, len(sentinels)-1, "a new sentinel needs a number at the end of the table")
}

func goFiles(t *testing.T) []string {
	t.Helper()
	es, err := os.ReadDir(".")
	require.NoError(t, err)
	var names []string
	for _, e := range es {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") {
			names = append(names, e.Name())
		}
	}
	return names
}

func FuzzReadError(f *testing.F) {
	f.Add(AppendError(nil, &Error{Op: "put", Node: "a", Table: "t", Key: []byte("k"), Outcome: Unknown, Err: ErrTimeout}))
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		first := ReadError(b)
		require.Error(t, first)
		require.Equal(t, first.Error(), ReadError(AppendError(nil, first)).Error(), "what was read is written and read again alike")
	})
}
