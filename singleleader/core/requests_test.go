package core

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// remembering is a group's memory of requests, and the store beside it.
type remembering struct {
	t     require.TestingT
	all   *Requests
	store *store.Memory
	asked *Asked
	enc   *record.Encoder
	lsn   record.LSN
}

func newRemembering(t require.TestingT) *remembering {
	return &remembering{t: t, all: NewRequests(), store: store.NewMemory(), asked: NewAsked(), enc: record.NewEncoder()}
}

func requestRecord(lsn record.LSN, id record.RequestID, ms ...record.Mutation) record.Record {
	return record.Record{
		Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: uint64(lsn)}, Time: version.Timestamp(lsn) << 16, Term: 3, Request: id, Mutations: ms,
	}
}

// apply takes in the next record, and keeps the store in step.
func (m *remembering) apply(id record.RequestID, ms ...record.Mutation) (edits []topology.Edit) {
	m.lsn++
	r := requestRecord(m.lsn, id, ms...)
	edits, arena := AppendEdits(nil, nil, m.enc, &r)
	before := len(edits)
	edits, _ = m.all.Add(edits, arena, m.enc, &r)
	require.NoError(m.t, m.store.Apply(m.lsn, edits))
	return edits[before:]
}

// restarted reads the memory back from the store.
func (m *remembering) restarted() *Requests {
	s, err := m.store.Snapshot()
	require.NoError(m.t, err)
	all, err := LoadRequests(s)
	require.NoError(m.t, err)
	require.NoError(m.t, s.Close())
	return all
}

// Each file of testdata/requests is a story of named requests that a group
// applies, and of what it then knows of one.
//
//	apply client=N seq=N [result=TEXT]    put KEY=VALUE, a line each; answers the cells that are written
//	fill client=N from=N to=N             as many requests of a client
//	clients from=N to=N                   a first request of each of so many clients
//	find client=N seq=N
//	restart                               only the store is left
//
// and of those that only stand in the log: accept client=N seq=N lsn=N, asked
// client=N seq=N, forget applied=N.
func TestRequestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/requests", func(t *testing.T, path string) {
		m := newRemembering(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return m.told(t, d)
		})
	})
}

func (m *remembering) told(t *testing.T, d *datadriven.TestData) string {
	a := storyArgs{t, d}
	id := func() record.RequestID {
		return record.RequestID{Client: uint64(a.num("client")), Seq: uint64(a.num("seq"))}
	}
	switch d.Cmd {
	case "apply":
		ms := acceptedRecord(1, d.Input).Mutations
		if d.HasArg("result") {
			var text string
			d.ScanArgs(t, "result", &text)
			ms = append(ms, Result([]byte(text)))
		}
		return showEdits(m.apply(id(), ms...))
	case "fill":
		for seq := a.num("from"); seq <= a.num("to"); seq++ {
			m.apply(record.RequestID{Client: uint64(a.num("client")), Seq: uint64(seq)}, putOf("k", "", "v"))
		}
	case "clients":
		for client := a.num("from"); client <= a.num("to"); client++ {
			m.apply(record.RequestID{Client: uint64(client), Seq: 1}, putOf("k", "", "v"))
		}
	case "restart":
		m.all = m.restarted()
	case "find":
		found, memory := m.all.Find(id())
		return showAnswer(found, memory)
	case "accept":
		r := requestRecord(record.LSN(a.num("lsn")), id(), putOf("k", "", "v"))
		m.asked.Add(r.Request, AnswerOf(&r))
		return fmt.Sprintf("%d\n", m.asked.Len())
	case "asked":
		found, ok := m.asked.Find(id())
		if !ok {
			return "not here\n"
		}
		return showAnswer(found, RequestKnown)
	case "forget":
		m.asked.Forget(record.LSN(a.num("applied")))
		return fmt.Sprintf("%d\n", m.asked.Len())
	default:
		d.Fatalf(t, "no command %q", d.Cmd)
	}
	return fmt.Sprintf("%d clients, entry %d\n", m.all.Len(), m.lsn)
}

func showAnswer(a Answer, m Memory) string {
	switch m {
	case RequestNew:
		return "new\n"
	case RequestForgotten:
		return "forgotten\n"
	}
	s := fmt.Sprintf("entry %d of term %d, time %d, sum %08x", a.LSN, a.Term, a.Time, a.Sum)
	if a.Result != nil {
		s += fmt.Sprintf(", result %s", a.Result)
	}
	return s + "\n"
}

// showEdits shows edits by their bytes: they are a format.
func showEdits(edits []topology.Edit) string {
	var b strings.Builder
	for _, e := range edits {
		if e.Whole {
			fmt.Fprintf(&b, "table %d, key %x: removed\n", e.Table, e.Key)
			continue
		}
		fmt.Fprintf(&b, "table %d, key %x, field %x: %s\n", e.Table, e.Key, e.Field, hex.EncodeToString(e.State))
	}
	return b.String()
}

// Whatever is applied, memory and cells say the same, and nothing that was once
// accepted is ever taken for new.
func TestNothingIsTakenForNewTwice(t *testing.T) {
	late := newRemembering(t)
	for _, seq := range []uint64{1, 100_000} {
		late.apply(record.RequestID{Client: 1, Seq: seq}, putOf("k", "", "v"))
	}
	_, memory := late.all.Find(record.RequestID{Client: 1, Seq: 5})
	require.NotEqual(t, RequestNew, memory, "it is behind the window: it may have been taken before")
	rapid.Check(t, func(rt *rapid.T) {
		m := newRemembering(rt)
		m.all.clientsKept = rapid.IntRange(1, 4).Draw(rt, "clients")
		accepted := map[record.RequestID]record.LSN{}
		steps := rapid.IntRange(1, 400).Draw(rt, "steps")
		spread := rapid.SampledFrom([]uint64{3, 70, 200}).Draw(rt, "spread")
		for i := range steps {
			id := record.RequestID{Client: rapid.Uint64Range(1, 8).Draw(rt, "client"), Seq: 1 + uint64(i)/4 + rapid.Uint64Range(0, spread).Draw(rt, "seq")}
			switch a, memory := m.all.Find(id); memory {
			case RequestNew:
				require.NotContains(rt, accepted, id, "taken for new again")
				m.apply(id, putOf("k", "", fmt.Sprint(i)))
				accepted[id] = m.lsn
			case RequestKnown:
				require.Equal(rt, accepted[id], a.LSN)
			}
			if rapid.IntRange(0, 20).Draw(rt, "restart") == 0 {
				was := m.all
				m.all = m.restarted()
				m.all.clientsKept = was.clientsKept
				require.Equal(rt, dump(was), dump(m.all))
			}
		}
	})
}

// What is in memory is bounded, whoever asks.
func TestTheMemoryOfRequestsIsBounded(t *testing.T) {
	m := newRemembering(t)
	for client := range uint64(ClientsKept + 100) {
		m.apply(record.RequestID{Client: client + 1, Seq: 1 + client%3}, putOf("k", "", "v"))
	}
	require.Equal(t, ClientsKept, m.all.Len())
	for seq := range uint64(3 * RequestsKept) {
		m.apply(record.RequestID{Client: 1 << 40, Seq: 10 + seq}, putOf("k", "", "v"))
	}
	require.Len(t, m.all.clients[1<<40].answers, RequestsKept)
	require.Equal(t, dump(m.all), dump(m.restarted()))
}

// dump is all that is known, in one order.
func dump(q *Requests) string {
	var b strings.Builder
	fmt.Fprintln(&b, q.forgotten, len(q.clients))
	for c := q.oldest; c != nil; c = c.after {
		fmt.Fprintln(&b, c.client, c.floor, c.newest, c.last)
		as := slices.Clone(c.answers)
		slices.SortFunc(as, func(a, b Answer) int { return cmp.Compare(a.Seq, b.Seq) })
		for i := range as {
			fmt.Fprintln(&b, as[i].Seq, showAnswer(as[i], RequestKnown))
		}
	}
	return b.String()
}

func TestCellsThatCannotBeReadAreRefused(t *testing.T) {
	enc := record.NewEncoder()
	state := func(value []byte) []byte {
		return enc.AppendState(nil, &record.State{Siblings: []record.Version{{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}, Time: 1, Kind: record.KindBytes, Value: value}}})
	}
	for name, e := range map[string]topology.Edit{
		"a short key":   {Cell: record.Cell{Table: record.TableRequests, Key: []byte("abc"), Field: []byte{1}}, State: state((&Answer{Seq: 1}).pack())},
		"a long field":  {Cell: record.Cell{Table: record.TableRequests, Key: clientKey(1), Field: []byte{1, 2}}, State: state((&Answer{Seq: 1}).pack())},
		"another value": {Cell: record.Cell{Table: record.TableRequests, Key: clientKey(1), Field: []byte{1}}, State: state(packed(1))},
		"no state":      {Cell: record.Cell{Table: record.TableRequests, Key: clientKey(1), Field: []byte{1}}, State: []byte{1}},
	} {
		m := store.NewMemory()
		require.NoError(t, m.Apply(1, []topology.Edit{e}))
		s, err := m.Snapshot()
		require.NoError(t, err)
		_, err = LoadRequests(s)
		require.Error(t, err, name)
	}
}

// Two requests under one name are told apart, but for what a retry cannot repeat.
func TestSumOfMutations(t *testing.T) {
	base := []record.Mutation{putOf("k", "f", "v"), putOf("l", "", "w")}
	sum := SumOf(base)
	later := []record.Mutation{base[0], base[1], Result([]byte("7"))}
	later[0].Expires = 9
	require.Equal(t, sum, SumOf(later))
	for name, ms := range map[string][]record.Mutation{
		"value":   {putOf("k", "f", "x"), base[1]},
		"field":   {putOf("k", "g", "v"), base[1]},
		"shifted": {putOf("kf", "", "v"), base[1]},
		"order":   {base[1], base[0]},
		"fewer":   base[:1],
		"removal": {{Table: record.TableDefault, Key: []byte("k"), Field: []byte("f"), Op: record.OpDelete, Kind: record.KindBytes, Value: []byte("v")}, base[1]},
	} {
		require.NotEqual(t, sum, SumOf(ms), name)
	}
}
