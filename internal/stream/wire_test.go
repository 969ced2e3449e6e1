package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

func testEntry(lsn record.LSN, term uint64, size int) record.Entry {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(int(lsn) + i)
	}
	return record.Entry{LSN: lsn, Term: term, Sum: record.Sum(b), Bytes: b}
}

type message interface {
	encode(*pack.Writer)
	decode(*pack.Reader)
}

func TestMessagesReadBackAsTheyWereWritten(t *testing.T) {
	cell := record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}
	for _, m := range []struct {
		kind    byte
		in, out message
	}{
		{kindBegin, &Begin{Group: "main", Term: 3, Body: []byte{1, 2}}, &Begin{}},
		{kindBegin, &Begin{Group: "main", Term: 3, Body: []byte{1, 2}, Path: []topology.NodeID{"a", "b"}, Last: Place{2, 9}}, &Begin{}},
		{kindTail, &Tail{Term: 3, Last: Place{2, 9}, Snapshot: true}, &Tail{}},
		{kindCut, &Cut{Term: 3, Asked: Place{2, 9}, To: Place{1, 4}}, &Cut{}},
		{kindAck, &Ack{Term: 3, Written: 9, Flushed: 8, Applied: 7, Round: 6}, &Ack{}},
		{kindOffer, &Offer{Term: 3, ID: "t3-l9-1", LSN: 9, History: topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 5}}}, &Offer{}},
		{kindResume, (*Resume)(&Mark{Last: cell, Count: 4, Sum: 5}), (*Resume)(&Mark{})},
		{kindChunk, &Chunk{Mark: Mark{Last: cell, Count: 4, Sum: 5}, Edits: []topology.Edit{{Cell: cell, State: []byte{7}}}}, &Chunk{}},
	} {
		w := pack.NewWriter(nil)
		m.in.encode(w)
		require.NoError(t, decodeAs(w.Bytes(), m.kind, m.out), "kind %d", m.kind)
		require.Equal(t, m.in, m.out, "kind %d", m.kind)
		got, err := Decode(Encode(m.in))
		require.NoError(t, err, "kind %d", m.kind)
		require.Equal(t, m.in, got, "kind %d", m.kind)
		for n := range w.Bytes() {
			require.Error(t, decodeAs(w.Bytes()[:n], m.kind, m.out), "kind %d cut to %d bytes", m.kind, n)
		}
		require.Error(t, decodeAs(append(w.Bytes(), 0), m.kind, m.out), "kind %d with a byte behind it", m.kind)
	}
}

func TestARefusalArrivesWithItsSentinelWhateverWasExpected(t *testing.T) {
	w := pack.NewWriter(nil)
	(&Refusal{Term: 4, Err: &topology.Error{Op: "follow", Err: topology.ErrNotLeader}}).encode(w)
	err := decodeAs(w.Bytes(), kindTail, &Tail{})
	var x *Refusal
	require.ErrorAs(t, err, &x)
	require.EqualValues(t, 4, x.Term)
	require.ErrorIs(t, err, topology.ErrNotLeader)
}

func encodeAppend(a *Append, entries ...record.Entry) []byte {
	a.Entries = entries
	return Encode(a)
}

func decodeAppend(b []byte) (Append, error) {
	var a Append
	r := pack.NewReader(b[1:])
	err := a.decode(&r)
	return a, err
}

func TestAnAppendIsTakenOnlyIfItsEntriesAreWholeAndInOrder(t *testing.T) {
	head := func() *Append { return &Append{Term: 3, Prev: Place{2, 4}, Commit: 4, End: 9, Round: 1, Time: 7} }
	good := encodeAppend(head(), testEntry(5, 2, 10), testEntry(6, 3, 20))
	a, err := decodeAppend(good)
	require.NoError(t, err)
	require.Len(t, a.Entries, 2)
	require.Equal(t, testEntry(6, 3, 20), a.Entries[1])

	passed := head()
	passed.Age = 5 * time.Millisecond
	a, err = decodeAppend(encodeAppend(passed, testEntry(5, 2, 10)))
	require.NoError(t, err)
	require.Equal(t, passed.Age, a.Age)
	require.Len(t, a.Entries, 1)

	for name, b := range map[string][]byte{
		"a gap":               encodeAppend(head(), testEntry(6, 3, 1)),
		"a gap inside":        encodeAppend(head(), testEntry(5, 3, 1), testEntry(7, 3, 1)),
		"an older term":       encodeAppend(head(), testEntry(5, 1, 1)),
		"a later term":        encodeAppend(head(), testEntry(5, 4, 1)),
		"a bit flipped":       append(append([]byte(nil), good[:len(good)-1]...), good[len(good)-1]^1),
		"cut off":             good[:len(good)-1],
		"bytes behind":        append(append([]byte(nil), good...), 0),
		"more claimed":        encodeAppendCount(head(), 3, testEntry(5, 3, 1)),
		"two billion claimed": encodeAppendCount(head(), 1<<31-1, testEntry(5, 3, 1)),
	} {
		_, err := decodeAppend(b)
		require.Error(t, err, name)
	}
}

func encodeAppendCount(a *Append, n int, e record.Entry) []byte {
	w := pack.NewWriter(nil)
	a.Count = n
	a.encode(w)
	return record.AppendEntry(w.Bytes(), e)
}

func TestAnOfferThatCanNotBeIsRefused(t *testing.T) {
	for name, o := range map[string]*Offer{
		"a path for an id":       {ID: "../x", LSN: 1},
		"no id":                  {LSN: 1},
		"terms that descend":     {ID: "a", LSN: 9, History: topology.History{{Term: 2, Start: 1}, {Term: 1, Start: 2}}},
		"starts that descend":    {ID: "a", LSN: 9, History: topology.History{{Term: 1, Start: 2}, {Term: 2, Start: 1}}},
		"a start beyond the LSN": {ID: "a", LSN: 9, History: topology.History{{Term: 1, Start: 10}}},
	} {
		w := pack.NewWriter(nil)
		o.encode(w)
		require.Error(t, decodeAs(w.Bytes(), kindOffer, &Offer{}), name)
	}
}

// FuzzMessages holds every decoder to errors: no panic, and what is accepted
// encodes to the same bytes.
func FuzzMessages(f *testing.F) {
	f.Add(encodeAppend(&Append{Term: 1}, testEntry(1, 1, 3)))
	f.Add([]byte{kindTail, 0x94, 1, 2, 3, 0xc2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if b[0] == kindAppend {
			_, _ = decodeAppend(b)
			return
		}
		for kind, m := range map[byte]message{
			kindBegin: &Begin{}, kindTail: &Tail{}, kindCut: &Cut{}, kindAck: &Ack{}, kindOffer: &Offer{},
			kindResume: (*Resume)(&Mark{}), kindChunk: &Chunk{}, kindRefuse: &Refusal{},
		} {
			if decodeAs(b, kind, m) == nil && kind != kindRefuse {
				w := pack.NewWriter(nil)
				m.encode(w)
				require.Equal(t, b, w.Bytes())
			}
		}
	})
}
