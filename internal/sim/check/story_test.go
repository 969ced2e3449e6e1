package check

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/version"
)

// TestStories judges the histories under testdata/stories: good ones that look odd, and
// planted anomalies. An operation is a line,
//
//	CLIENT[/SESSION] KIND ARGUMENTS FROM-[TO] [no|refused|unknown] [@SEQ] [tTERM] [any|session|bound=N|lag=N] [node=X]
//
// with put K V, get K V|V…, delete K, cas K OLD NEW, inc K BY GOT, transfer FROM
// TO BY and scan PREFIX K=V,…; “-” is nothing. “final NODE K=V …” is what a node
// holds in the end.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			ops, finals := parse(t, d.Input)
			c, err := New(Rules{Sites: d.HasArg("sites"), Lossy: d.HasArg("lossy"), Counting: []string{"acc/"}}, ops, finals...)
			if err != nil {
				return err.Error() + "\n"
			}
			check, known := map[string]func() Report{
				"linearizable": func() Report { return c.Linearizable(0) },
				"own-writes":   c.ReadYourWrites,
				"monotonic":    c.MonotonicReads,
				"prefix":       c.ConsistentPrefix,
				"fresh":        c.Fresh,
				"kept":         c.Kept,
				"nowhere":      c.Nowhere,
				"converged":    c.Converged,
				"counters":     c.Counters,
				"bank":         func() Report { return c.Bank("acc/", 2, 10) },
				"places":       c.Places,
			}[d.Cmd]
			if !known {
				t.Fatalf("%s: there is no checker %q", d.Pos, d.Cmd)
			}
			r := check()
			if err := r.Err(); err != nil {
				return strings.ReplaceAll(err.Error(), "\n\n", "\n") + "\n"
			}
			return fmt.Sprintf("ok, %d judged\n", r.Judged)
		})
	})
}

func parse(t *testing.T, input string) (ops []history.Op, finals []Final) {
	for line := range strings.Lines(input) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "final":
			finals = append(finals, parseFinal(words[1:]))
		default:
			ops = append(ops, parseOp(t, len(ops)+1, words))
		}
	}
	return ops, finals
}

func parseFinal(words []string) Final {
	f := Final{Node: words[0], Cells: map[string]Cell{}}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch value, raw, _ := strings.Cut(value, "/"); key {
		case "applied":
			f.Vector = version.Vector{{Origin: origin, Seq: number64(value)}}
		case "held":
			f.Held = map[Write]bool{}
			for _, seq := range strings.Split(value, ",") {
				f.Held[Write{version.Dot{Origin: origin, Seq: number64(seq)}, version.Timestamp(number64(seq))}] = true
			}
		default:
			f.Cells[key] = Cell{Values: strings.Split(value, "|"), Raw: raw}
		}
	}
	return f
}

var origin = version.Origin{ID: 1, Incarnation: 1}

func number64(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func parseOp(t *testing.T, id int, words []string) history.Op {
	client, session, _ := strings.Cut(words[0], "/")
	op := history.Op{ID: uint64(id), Client: number64(client), Kind: history.Kind(words[1]), Key: words[2], Outcome: history.Applied}
	if session != "" {
		op.Session = number64(session)
	}
	args := words[3:]
	take := func() string { w := args[0]; args = args[1:]; return strings.TrimPrefix(w, "-") }
	switch op.Kind {
	case history.Put:
		op.Value = take()
	case history.Get:
		op.Got = strings.FieldsFunc(take(), func(r rune) bool { return r == '|' })
	case history.CompareAndSet:
		op.Expect, op.Value = take(), take()
	case history.Increment:
		op.Amount, _ = strconv.ParseInt(args[0], 10, 64)
		args = args[1:]
		op.Got = strings.Fields(take())
	case history.Transfer:
		op.To, op.Amount = take(), int64(number64(take()))
	case history.Scan:
		for _, row := range strings.FieldsFunc(take(), func(r rune) bool { return r == ',' }) {
			key, value, _ := strings.Cut(row, "=")
			op.Rows = append(op.Rows, history.Row{Key: key, Value: value})
		}
	}
	from, to, _ := strings.Cut(args[0], "-")
	op.Invoke = time.Duration(number64(from))
	if to == "" {
		op.Outcome = history.Unknown
	} else {
		op.Return = time.Duration(number64(to))
	}
	for _, w := range args[1:] {
		parseOption(t, &op, w)
	}
	return op
}

func parseOption(t *testing.T, op *history.Op, w string) {
	name, value, _ := strings.Cut(w, "=")
	switch {
	case w == "no":
		op.Outcome = history.NotApplied
	case w == "refused":
		op.Outcome, op.Refused = history.NotApplied, true
	case w == "unknown":
		op.Outcome = history.Unknown
	case w[0] == '@':
		n := number64(w[1:])
		op.Place.Dot, op.Place.Time, op.Place.LSN = version.Dot{Origin: origin, Seq: n}, version.Timestamp(n), n
	case w[0] == 't':
		op.Place.Term = number64(w[1:])
	case w == "any", w == "session":
		op.Want.Guarantee = history.Guarantee(w)
	case name == "bound":
		op.Want = history.Request{Guarantee: history.Bounded, Bound: time.Duration(number64(value))}
	case name == "lag":
		op.Want = history.Request{Guarantee: history.Bounded, Lag: number64(value)}
	case name == "node":
		op.Node = value
	default:
		t.Fatalf("there is no option %q", w)
	}
}
