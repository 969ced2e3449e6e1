package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Engine is the client of one session on engines in this process: it asks the
// node that an operation names, and otherwise whoever is said to lead.
type Engine struct {
	// At returns the engine of a node, and of the leader for an empty name, with
	// its name. Nil: it is down, and nothing is asked.
	At func(node string) (topology.Engine, string)

	// Client names the writes of the session, which are then sent again, to
	// whoever leads by then, while it is not known what became of them (rule S17).
	// 0: they have no name. No two sessions of a group may share one.
	Client uint64

	// Plain has reads that may show anything ask for nothing, which is what the topology
	// does by itself: where nobody leads, so many replicas as its options say.
	Plain bool

	token topology.Token // what the session has seen
	named uint64         // writes that were
}

// tries is in how many parts a named write's time is cut, one for each try.
const tries = 4

// Do implements Client.
func (e *Engine) Do(ctx context.Context, op history.Op) history.Op {
	if e.Client == 0 || !op.Kind.Writes() {
		return e.try(ctx, op, record.RequestID{})
	}
	e.named++
	id := record.RequestID{Client: e.Client, Seq: e.named}
	left := time.Second
	if at, ok := ctx.Deadline(); ok {
		left = time.Until(at)
	}
	open := false
	for n := 1; ; n++ {
		attempt, cancel := context.WithTimeout(ctx, left/tries)
		told := e.try(attempt, op, id)
		cancel()
		open = open || told.Outcome == history.Unknown
		if told.Outcome == history.Applied || !open {
			return told
		}
		// That this try did not happen says nothing of those before it.
		told.Outcome, told.Refused = history.Unknown, false
		if n == tries || ctx.Err() != nil {
			return told
		}
		select {
		case <-time.After(left / tries / tries):
		case <-ctx.Done():
		}
	}
}

// try asks once.
func (e *Engine) try(ctx context.Context, op history.Op, id record.RequestID) history.Op {
	var node topology.Engine
	if node, op.Node = e.At(op.Node); node == nil {
		op.Outcome, op.Error = history.NotApplied, "the node is down"
		return op
	}
	var err error
	switch op.Kind {
	case history.Get:
		err = e.get(ctx, node, &op)
	case history.Scan:
		err = e.scan(ctx, node, &op)
	case history.Increment, history.Transfer:
		err = e.update(ctx, node, &op, id)
	default:
		err = e.write(ctx, node, &op, id)
	}
	return Told(op, err)
}

// Told returns op with the outcome that an error of a topology states.
func Told(op history.Op, err error) history.Op {
	switch {
	case err == nil:
		op.Outcome = history.Applied
		return op
	case topology.OutcomeOf(err) == topology.NotApplied:
		op.Outcome = history.NotApplied
		op.Refused = op.Kind == history.CompareAndSet && errors.Is(err, topology.ErrConditionFailed)
	default:
		op.Outcome = history.Unknown
	}
	op.Error, op.Got, op.Rows, op.Place = err.Error(), nil, nil, history.Place{}
	return op
}

// PlaceOf is where a receipt says that a write stands.
func PlaceOf(r topology.Receipt) history.Place {
	return history.Place{Dot: r.Dot, Time: r.Time, Term: r.Term, LSN: uint64(r.LSN)}
}

// saw raises what the session has seen.
func (e *Engine) saw(t topology.Token) { e.token = e.token.Join(t) }

func cell(key string) record.Cell { return record.Cell{Table: record.TableDefault, Key: []byte(key)} }

func put(key, value string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
}

func (e *Engine) write(ctx context.Context, node topology.Engine, op *history.Op, id record.RequestID) error {
	b := record.Batch{Mutations: []record.Mutation{put(op.Key, op.Value)}, Request: id}
	switch op.Kind {
	case history.Delete:
		b.Mutations[0] = record.Mutation{Table: record.TableDefault, Key: []byte(op.Key), Op: record.OpDelete}
	case history.CompareAndSet:
		b.Conditions = []record.Condition{{Cell: cell(op.Key), Absent: op.Expect == "", Equal: op.Expect != "", Value: []byte(op.Expect)}}
	}
	r, err := node.Write(ctx, b, topology.WriteOptions{})
	if err == nil {
		op.Place = PlaceOf(r)
		e.saw(r.Token)
	}
	return err
}

// errOverdrawn is why a transfer is not made.
var errOverdrawn = errors.New("the account does not hold as much")

// update asks for a read-modify-write.
func (e *Engine) update(ctx context.Context, node topology.Engine, op *history.Op, id record.RequestID) error {
	up, can := node.(topology.Updater)
	if !can {
		return &topology.Error{Op: string(op.Kind), Outcome: topology.NotApplied, Err: topology.ErrUnsupported}
	}
	asked := *op
	var got []string
	us := []topology.Update{{
		Request: id,
		Result:  func() []byte { return []byte(strings.Join(got, "")) },
		Repeat: func(b []byte) error {
			if got = nil; len(b) > 0 {
				got = []string{string(b)}
			}
			return nil
		},
		Reads: []topology.CellRange{{Cell: cell(op.Key)}},
		Decide: func(s topology.Sight) ([]record.Mutation, error) {
			n, err := numberAt(s, 0)
			if err != nil || asked.Kind == history.Increment {
				got = []string{strconv.FormatInt(n+asked.Amount, 10)}
				return []record.Mutation{put(asked.Key, got[0])}, err
			}
			to, err := numberAt(s, 1)
			if err == nil && n < asked.Amount {
				err = errOverdrawn
			}
			return []record.Mutation{put(asked.Key, strconv.FormatInt(n-asked.Amount, 10)), put(asked.To, strconv.FormatInt(to+asked.Amount, 10))}, err
		},
	}}
	if op.Kind == history.Transfer {
		us[0].Reads = append(us[0].Reads, topology.CellRange{Cell: cell(op.To)})
	}
	up.Update(ctx, us, topology.WriteOptions{})
	if us[0].Err == nil {
		op.Place, op.Got = PlaceOf(us[0].Receipt), got
		e.saw(us[0].Receipt.Token)
	}
	return us[0].Err
}

// numberAt is what the i-th of the cells that were asked for holds.
func numberAt(s topology.Sight, i int) (int64, error) {
	cells := s.Cells(i)
	if len(cells) == 0 {
		return 0, nil
	}
	n, err := history.Number(string(cells[0].Value))
	if err != nil {
		return 0, fmt.Errorf("%w: %q holds no number", topology.ErrMalformed, cells[0].Key)
	}
	return n, nil
}

func (e *Engine) options(op *history.Op) topology.ReadOptions {
	switch op.Guarantee() {
	case history.Any:
		if e.Plain {
			return topology.ReadOptions{}
		}
		return topology.ReadOptions{Guarantee: topology.ReadAny}
	case history.Session:
		return topology.ReadOptions{Guarantee: topology.ReadSession, After: e.token}
	case history.Bounded:
		return topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: op.Want.Bound, MaxLag: op.Want.Lag}
	}
	return topology.ReadOptions{Guarantee: topology.ReadLinearizable}
}

func (e *Engine) get(ctx context.Context, node topology.Engine, op *history.Op) error {
	r, err := node.Read(ctx, record.TableDefault, []byte(op.Key), e.options(op))
	switch {
	case errors.Is(err, topology.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	for _, c := range r.Cells {
		op.Got = append(op.Got, string(c.Value))
		op.Place = history.Place{Dot: c.Dot, Time: c.Time}
	}
	op.Place.Term, op.Place.LSN = r.Token.Term, uint64(r.Token.LSN)
	e.saw(r.Token)
	return nil
}

func (e *Engine) scan(ctx context.Context, node topology.Engine, op *history.Op) error {
	sc, can := node.(topology.Scanner)
	if !can {
		return &topology.Error{Op: string(op.Kind), Outcome: topology.NotApplied, Err: topology.ErrUnsupported}
	}
	end := append([]byte(op.Key[:len(op.Key)-1]), op.Key[len(op.Key)-1]+1)
	for c, err := range sc.Scan(ctx, record.TableDefault, []byte(op.Key), end, e.options(op)) {
		if err != nil {
			return err
		}
		op.Rows = append(op.Rows, history.Row{Key: string(c.Key), Value: string(c.Value), Place: history.Place{Dot: c.Dot, Time: c.Time}})
	}
	return nil
}

// Final returns what an engine holds, of the whole default table, read at any
// guarantee: the final state of a node once it has applied everything.
func Final(ctx context.Context, name string, node topology.Engine) (check.Final, error) {
	f := check.Final{Node: name, Cells: map[string]check.Cell{}}
	sc, can := node.(topology.Scanner)
	if !can {
		return f, topology.ErrUnsupported
	}
	states := map[string]*record.State{}
	for c, err := range sc.Scan(ctx, record.TableDefault, nil, nil, topology.ReadOptions{Guarantee: topology.ReadAny}) {
		if err != nil {
			return f, fmt.Errorf("what %s holds: %w", name, err)
		}
		key := string(c.Key)
		if len(c.Field) > 0 {
			key += "/" + string(c.Field)
		}
		if states[key] == nil {
			states[key] = &record.State{}
		}
		states[key].Siblings = append(states[key].Siblings, c.Version)
	}
	enc := record.NewEncoder()
	for key, s := range states {
		cell := check.Cell{Raw: string(enc.AppendState(nil, s))}
		for _, v := range s.Siblings {
			cell.Values = append(cell.Values, string(v.Value))
			cell.Place = history.Place{Dot: v.Dot, Time: v.Time}
		}
		f.Cells[key] = cell
	}
	return f, nil
}
