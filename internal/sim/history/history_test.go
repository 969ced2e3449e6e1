package history

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/version"
)

func drawOp(t *rapid.T) Op {
	word := rapid.StringMatching(`[a-z0-9<&"é]{1,6}`)
	op := Op{
		Client: rapid.Uint64Range(1, 9).Draw(t, "client"), Session: rapid.Uint64Range(0, 3).Draw(t, "session"),
		Node: rapid.SampledFrom([]string{"", "a"}).Draw(t, "node"),
		Kind: rapid.SampledFrom([]Kind{Get, Put, Delete, CompareAndSet, Increment, Transfer, Scan}).Draw(t, "kind"),
		Key:  word.Draw(t, "key"), Value: word.Draw(t, "value"), To: "-",
		Amount:  rapid.Int64().Draw(t, "amount"),
		Outcome: rapid.SampledFrom([]Outcome{Applied, NotApplied}).Draw(t, "outcome"),
		Got:     rapid.SliceOfN(word, 0, 2).Draw(t, "got"),
		Place:   Place{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 2}, Seq: rapid.Uint64().Draw(t, "seq")}, Term: 3, LSN: 4},
	}
	if len(op.Got) == 0 {
		op.Got = nil
	}
	return op
}

func TestAHistoryIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecorder(nil)
		for range rapid.IntRange(0, 20).Draw(t, "ops") {
			r.End(answered(r.Begin(drawOp(t)), Applied))
		}
		var b bytes.Buffer
		require.NoError(t, Write(&b, r.Ops()))
		ops, err := Read(&b)
		require.NoError(t, err)
		require.Equal(t, r.Ops(), append([]Op(nil), ops...))
	})
}

func answered(op Op, o Outcome) Op {
	op.Outcome = o
	return op
}

func TestWhatHasNoAnswerYetIsUnknown(t *testing.T) {
	r := NewRecorder(func() time.Duration { return 7 })
	op := r.Begin(Op{Client: 1, Kind: Put, Key: "k", Value: "v", Outcome: Applied})
	require.Equal(t, Unknown, r.Ops()[0].Outcome)
	require.Equal(t, Forever, r.Ops()[0].End())
	require.NoError(t, Validate(r.Ops()))
	r.End(answered(op, Applied))
	require.Equal(t, time.Duration(7), r.Ops()[0].End())
}

func TestARecorderTakesManyClientsAtOnce(t *testing.T) {
	r := NewRecorder(nil)
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for range 100 {
				r.End(answered(r.Begin(Op{Client: uint64(c + 1), Kind: Get, Key: "k"}), Applied))
			}
		})
	}
	wg.Wait()
	require.Equal(t, 800, r.Len())
	require.NoError(t, Validate(r.Ops()))
	for i, op := range r.Ops() {
		require.EqualValues(t, i+1, op.ID)
	}
}

func TestWhatIsNoHistoryIsRefused(t *testing.T) {
	put := func(id, client uint64, from, to time.Duration, o Outcome) Op {
		return Op{ID: id, Client: client, Kind: Put, Key: "k", Value: "v", Invoke: from, Return: to, Outcome: o}
	}
	with := func(op Op, change func(*Op)) []Op { change(&op); return []Op{op} }
	one := put(1, 1, 1, 2, Applied)
	for name, test := range map[string]struct {
		ops []Op
		why string
	}{
		"one id twice":           {[]Op{one, put(1, 2, 1, 2, Applied)}, "its id is taken"},
		"a retired client asks":  {[]Op{put(1, 1, 1, 2, Unknown), put(2, 1, 3, 4, Applied)}, "was retired by #1"},
		"two things at once":     {[]Op{put(1, 1, 1, 5, Applied), put(2, 1, 3, 6, Applied)}, "had not been answered #1"},
		"answered before asked":  {with(one, func(o *Op) { o.Return = 0 }), "answered before it was asked"},
		"before the beginning":   {with(one, func(o *Op) { o.Invoke = -1 }), "before the history began"},
		"nobody asked":           {with(one, func(o *Op) { o.Client = 0 }), "no client"},
		"no such kind":           {with(one, func(o *Op) { o.Kind = "set" }), `no kind "set"`},
		"no such outcome":        {with(one, func(o *Op) { o.Outcome = "" }), `no outcome ""`},
		"a put of nothing":       {with(one, func(o *Op) { o.Value = "" }), "writes no value"},
		"a put that is refused":  {with(one, func(o *Op) { o.Refused = true }), "only a compare-and-set"},
		"a transfer to nobody":   {with(one, func(o *Op) { o.Kind = Transfer }), "goes nowhere"},
		"a transfer to its self": {with(one, func(o *Op) { o.Kind, o.To = Transfer, "k" }), "goes nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Validate(test.ops)
			require.ErrorContains(t, err, test.why)
			require.ErrorIs(t, err, errMalformed)
		})
	}
}

func TestAFileThatIsNoHistoryIsRefusedWithItsLine(t *testing.T) {
	good := `{"id":1,"client":1,"kind":"get","key":"k","invoke":1,"return":2,"outcome":"applied"}`
	for name, test := range map[string]struct{ text, why string }{
		"cut off":          {good + "\n" + good[:20], "line 2"},
		"an unknown field": {strings.Replace(good, `"key"`, `"kee"`, 1), `line 1: malformed history: json: unknown field "kee"`},
		"two on a line":    {good + good, "line 1: malformed history: more than one"},
		"too long a line":  {good + "\n" + strings.Repeat(" ", LineBytesMax+1), "after line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(test.text))
			require.ErrorContains(t, err, test.why)
		})
	}
}

func TestAHistoryIsSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.jsonl")
	require.NoError(t, Save(path, []Op{{ID: 1, Client: 1, Kind: Get, Key: "k", Return: 1, Outcome: Applied}}))
	require.FileExists(t, path)
	require.Error(t, Save(filepath.Join(path, "below"), nil))
}

func TestAnOperationIsNamedInALine(t *testing.T) {
	at := Place{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 5}, Term: 2, LSN: 9}
	for want, op := range map[string]Op{
		"#1 client 2 session 3: put k=v at a applied 1.1:5 (term 2, LSN 9) [1ns, 2ns]":  {ID: 1, Client: 2, Session: 3, Node: "a", Kind: Put, Key: "k", Value: "v", Outcome: Applied, Place: at},
		"#1 client 2: get k (any) → nothing [1ns, 2ns]":                                 {ID: 1, Client: 2, Kind: Get, Key: "k", Want: Request{Guarantee: Any}, Outcome: Applied},
		"#1 client 2: get k (linearizable) → v | w [1ns, 2ns]":                          {ID: 1, Client: 2, Kind: Get, Key: "k", Got: []string{"v", "w"}, Outcome: Applied},
		"#1 client 2: cas k: nothing→v refused: the condition does not hold [1ns, 2ns]": {ID: 1, Client: 2, Kind: CompareAndSet, Key: "k", Value: "v", Outcome: NotApplied, Refused: true},
		"#1 client 2: inc k by -1 unknown: timed out [1ns, 2ns]":                        {ID: 1, Client: 2, Kind: Increment, Key: "k", Amount: -1, Outcome: Unknown, Error: "timed out"},
		"#1 client 2: transfer 5 from k to l notapplied [1ns, 2ns]":                     {ID: 1, Client: 2, Kind: Transfer, Key: "k", To: "l", Amount: 5, Outcome: NotApplied},
		"#1 client 2: scan acc/ (linearizable) → 0 rows [1ns, 2ns]":                     {ID: 1, Client: 2, Kind: Scan, Key: "acc/", Outcome: Applied},
		"#1 client 2: delete k unknown [1ns, 2ns]":                                      {ID: 1, Client: 2, Kind: Delete, Key: "k", Outcome: Unknown},
	} {
		op.Invoke, op.Return = 1, 2
		require.Equal(t, want, op.String())
	}
}
