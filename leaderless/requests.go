package leaderless

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// methodRequest is the method by which a node that holds no copy of a key passes a
// request on to one that does.
const methodRequest = "leaderless.request"

// asked is a request as its caller puts it.
type asked struct {
	core.Event
	token topology.Token // what the session has seen, of a get: waited for first
}

// do coordinates a request here, or passes it on to a replica, once (L1).
func (e *engine) do(ctx context.Context, a *asked) (core.Answer, topology.NodeID, error) {
	partition := a.partition(e)
	if e.place.Shows(e.env.Self, partition) || a.Kind == core.EvPut && e.place.Holds(e.env.Self, partition) {
		got, err := e.coordinate(ctx, a)
		return got, e.env.Self, err
	}
	if a.Forwarded {
		return core.Answer{}, "", &topology.Error{Op: "request", Node: e.env.Self, Outcome: topology.NotApplied, Err: fmt.Errorf("%w: this node holds no copy of the key, and the request was passed on already", topology.ErrStale)}
	}
	var last error = &topology.Error{Op: "request", Node: e.env.Self, Outcome: topology.NotApplied, Err: fmt.Errorf("%w: none of the replicas %v can be reached%s", topology.ErrUnavailable, e.place.Replicas(partition), ground{e}.where(a.Level))}
	for _, id := range (ground{e}).reachable(e.place.Replicas(partition), a.Level) {
		got, err := e.pass(ctx, id, a)
		if err == nil {
			return got, id, nil
		}
		last = err
		if topology.OutcomeOf(err) != topology.NotApplied || !errors.Is(err, topology.ErrUnavailable) && !errors.Is(err, topology.ErrStale) || ctx.Err() != nil {
			break
		}
	}
	return core.Answer{}, "", last
}

// partition is that of the key the request is about.
func (a *asked) partition(e *engine) int {
	if a.Kind == core.EvPut {
		return placementOf(e, a.Mutations[0].Table, a.Mutations[0].Key)
	}
	return placementOf(e, a.Range.Table, a.Range.Key)
}

func placementOf(e *engine, table record.TableID, key []byte) int {
	return placement.Of(e.place, table, key)
}

// coordinate has the core do a request of a key that this node holds.
func (e *engine) coordinate(ctx context.Context, a *asked) (core.Answer, error) {
	if err := (sessions{e}).awaitToken(ctx, a.token, a.partition(e)); err != nil {
		return core.Answer{}, e.errorOf("get", topology.NotApplied, err)
	}
	if err := e.loop.started(ctx); err != nil {
		return core.Answer{}, e.errorOf("request", topology.NotApplied, err)
	}
	if a.Event.Met = e.o.Write; a.Kind == core.EvPut {
		a.Event.Met = e.o.Read
	}
	defer e.pulse.note(time.Now())
	r := newRequest(a.Event)
	if err := e.loop.post(func() { e.loop.request(r) }); err != nil {
		return core.Answer{}, e.errorOf(r.op(), topology.NotApplied, err)
	}
	deadline := time.NewTimer(e.o.CallTimeout)
	defer deadline.Stop()
	var hedge <-chan time.Time
	if a.Kind == core.EvGet && e.o.HedgeAfter > 0 {
		t := time.NewTimer(e.o.HedgeAfter)
		defer t.Stop()
		hedge = t.C
	}
	over := false
	expire := func() {
		if !over {
			over = true
			_ = e.loop.post(func() { e.loop.step(core.Event{Kind: core.EvDeadline, Op: r.event.Op}) }) // an engine that has ended has answered
		}
	}
	ended := ctx.Done()
	for {
		select {
		case <-r.done:
			if r.forward != "" { // by a newer map this node is none of those who are asked
				return e.pass(ctx, r.forward, a)
			}
			return r.got, r.got.Err
		case <-hedge:
			hedge = nil
			if e.mayHedge() {
				_ = e.loop.post(func() { e.loop.step(core.Event{Kind: core.EvHedge, Op: r.event.Op}) })
			}
		case <-deadline.C:
			expire()
		case <-ended:
			ended = nil
			expire()
		}
	}
}

// hedgesEvery is how many reads buy one that asks replicas besides those it needs: a
// cluster that is slow as a whole must not be asked for more by that.
const hedgesEvery = 10

func (e *engine) mayHedge() bool {
	if e.stats.hedges.Load()*hedgesEvery > e.stats.reads.Load()+10*hedgesEvery {
		return false
	}
	e.stats.hedges.Add(1)
	return true
}

// pass has another node do a request.
func (e *engine) pass(ctx context.Context, to topology.NodeID, a *asked) (core.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout+e.o.CallTimeout/4)
	defer cancel()
	b, err := e.env.Transport.Call(ctx, to, methodRequest, a.encode())
	if err != nil {
		var t *topology.Error
		if !errors.As(err, &t) {
			err = &topology.Error{Op: "request", Node: to, Outcome: topology.Unknown, Err: err}
		}
		return core.Answer{}, err
	}
	return decodeAnswer(b)
}

// serveRequest does a request that another node passes on.
func (e *engine) serveRequest(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	a, err := decodeAsked(append([]byte(nil), req...))
	if err != nil {
		return nil, e.errorOf("request", topology.NotApplied, err)
	}
	got, _, err := e.do(ctx, a)
	if err != nil {
		return nil, err
	}
	return encodeAnswer(&got), nil
}

// A request on the wire is an array of eleven:
//
//	0  kind       uint: 1 a put, 2 a get
//	1  level      uint
//	2  repair     uint
//	3  table      uint
//	4  key        bin
//	5  field      bin
//	6  whole      bool
//	7  mutations  array of 5n, of a put: field, op, kind, expires, value
//	8  context    bin, a state whose context it is
//	9  time       uint, of the context
//	10 token      str
const askedFields = 11

func (a *asked) encode() []byte {
	at := a.Range // of a put, what its time is to be after
	if a.Kind == core.EvPut {
		at.Table, at.Key = a.Mutations[0].Table, a.Mutations[0].Key
	}
	enc := record.NewEncoder()
	w := pack.NewWriter(nil)
	w.Array(askedFields)
	w.Uint(uint64(a.Kind))
	w.Uint(uint64(a.Level))
	w.Uint(uint64(a.Repair))
	w.Uint(uint64(at.Table))
	w.Bin(at.Key)
	w.Bin(at.Field)
	w.Bool(at.Whole)
	w.Array(5 * len(a.Mutations))
	for i := range a.Mutations {
		m := &a.Mutations[i]
		w.Bin(m.Field)
		w.Uint(uint64(m.Op))
		w.Uint(uint64(m.Kind))
		w.Uint(uint64(m.Expires))
		w.Bin(m.Value)
	}
	w.Bin(enc.AppendState(nil, &record.State{Context: a.Context.Seen}))
	w.Uint(uint64(a.Context.Time))
	w.Str(a.token.String())
	return w.Bytes()
}

func decodeAsked(b []byte) (*asked, error) {
	r := pack.NewReader(b)
	r.ArrayOf(askedFields)
	a := &asked{Event: core.Event{Kind: core.EventKind(r.UintMax(uint64(core.EvGet))), Forwarded: true}}
	a.Level, a.Repair = quorum.Consistency(r.UintMax(uint64(quorum.AtEachQuorum))), core.Repair(r.UintMax(uint64(core.RepairWriteBack)))
	at := record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax)}
	a.Range = topology.CellRange{Cell: at, Whole: r.Bool()}
	for n := r.ArrayMax(5 * record.MutationsMax); n > 4 && r.Err() == nil; n -= 5 {
		m := record.Mutation{Table: at.Table, Key: at.Key, Field: r.BinMax(record.FieldBytesMax)}
		m.Op, m.Kind = record.Op(r.UintMax(math.MaxUint8)), record.Kind(r.UintMax(math.MaxUint8))
		m.Expires, m.Value = version.Timestamp(r.Uint()), r.BinMax(record.ValueBytesMax)
		a.Mutations = append(a.Mutations, m)
	}
	seen := r.BinMax(record.ValueBytesMax)
	a.Context.Time = version.Timestamp(r.Uint())
	token := r.StrMax(topology.VectorTokenBytesMax)
	var s record.State
	err := r.Done()
	if err == nil {
		err = record.DecodeState(seen, &s)
	}
	if err == nil {
		a.token, err = topology.ParseToken(token)
	}
	switch {
	case err != nil:
	case a.Kind == core.EvGet && len(at.Key) > 0:
	case a.Kind == core.EvPut && len(a.Mutations) > 0:
		err = (&record.Batch{Mutations: a.Mutations}).Check(0)
	default:
		err = errors.New("it asks for nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("%w request: %w", topology.ErrMalformed, err)
	}
	a.Context.Seen = s.Context
	return a, nil
}

// An answer on the wire is an array of seven:
//
//	0  dot      array of 3: id, incarnation, seq
//	1  time     uint
//	2  stands   uint
//	3  have     array of n: str
//	4  cells    as core.AppendCells writes them
//	5  context  bin, a state whose context it is
//	6  time     uint, of the context
const answerFields = 7

func encodeAnswer(a *core.Answer) []byte {
	enc := record.NewEncoder()
	w := pack.NewWriter(nil)
	w.Array(answerFields)
	w.Array(3)
	w.Uint(uint64(a.Dot.Origin.ID))
	w.Uint(uint64(a.Dot.Origin.Incarnation))
	w.Uint(a.Dot.Seq)
	w.Uint(uint64(a.Time))
	w.Uint(uint64(a.Stands))
	w.Array(len(a.Have))
	for _, n := range a.Have {
		w.Str(string(n))
	}
	w.Raw(core.AppendCells(nil, a.Cells, enc))
	w.Bin(enc.AppendState(nil, &record.State{Context: a.Context.Seen}))
	w.Uint(uint64(a.Context.Time))
	return w.Bytes()
}

func decodeAnswer(b []byte) (a core.Answer, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(answerFields)
	r.ArrayOf(3)
	a.Dot = version.Dot{Origin: version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}, Seq: r.Uint()}
	a.Time, a.Stands = version.Timestamp(r.Uint()), int(r.UintMax(quorum.MembersMax))
	for n := r.ArrayMax(quorum.MembersMax); n > 0 && r.Err() == nil; n-- {
		a.Have = append(a.Have, topology.NodeID(r.StrMax(64)))
	}
	a.Cells, err = core.ReadCells(&r, record.Cell{})
	seen := r.BinMax(math.MaxInt32)
	a.Context.Time = version.Timestamp(r.Uint())
	if err == nil {
		err = r.Done()
	}
	var s record.State
	if err == nil {
		err = record.DecodeState(seen, &s)
	}
	if err != nil {
		return a, &topology.Error{Op: "request", Outcome: topology.Unknown, Err: fmt.Errorf("%w answer: %w", topology.ErrMalformed, err)}
	}
	a.Context.Seen = s.Context
	return a, nil
}
