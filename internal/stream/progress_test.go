package stream

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestMeetFindsWhereTwoLogsMayPart(t *testing.T) {
	// term 1: 1–3, term 3: 4–7, term 6: 8–10
	h := topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 4}, {Term: 6, Start: 8}}
	b := topology.Bounds{First: 1, End: 10}
	for _, c := range []struct{ asked, want Place }{
		{Place{}, Place{}},
		{Place{1, 2}, Place{1, 2}},   // ours
		{Place{1, 5}, Place{1, 3}},   // its term 1 went on: ours ended at 3
		{Place{2, 5}, Place{1, 3}},   // a term we never had: the newest older one
		{Place{3, 7}, Place{3, 7}},   // ours, to its end
		{Place{6, 10}, Place{6, 10}}, // all of ours
		{Place{6, 12}, Place{6, 10}}, // more than ours
		{Place{9, 12}, Place{6, 10}}, // a newer term we never had
		{Place{0, 4}, Place{}},       // a term before all of ours
	} {
		require.Equal(t, c.want, Meet(c.asked, b, h), "%v", c.asked)
	}
}

func TestProbedChoosesWhatFollows(t *testing.T) {
	h := topology.History{{Term: 1, Start: 1}, {Term: 3, Start: 4}}
	b := topology.Bounds{First: 3, End: 10}
	for _, c := range []struct {
		name string
		tail Tail
		want State
		next uint64
	}{
		{"agreement", Tail{Last: Place{3, 9}}, Replicate, 10},
		{"just where our log begins", Tail{Last: Place{1, 2}}, Replicate, 3},
		{"a tail to cut", Tail{Last: Place{2, 9}}, Probe, 0},
		{"behind our log", Tail{Last: Place{1, 1}}, Snapshot, 0},
		{"an empty log", Tail{}, Snapshot, 0},
		{"one that asks for it", Tail{Last: Place{3, 9}, Snapshot: true}, Snapshot, 0},
	} {
		p := NewProgress(100)
		p.Probed(3, c.tail, b, h)
		require.Equal(t, c.want, p.State, c.name)
		require.EqualValues(t, c.next, p.Next, c.name)
	}
}

func TestTheWindowClosesAndOpensWithWhatIsWritten(t *testing.T) {
	p := NewProgress(100)
	p.State, p.Next = Replicate, 1
	require.True(t, p.Open())
	p.Sent(3, 60)
	require.True(t, p.Open(), "one more batch may pass the limit, so that a record larger than the window moves")
	p.Sent(5, 60)
	require.False(t, p.Open())
	require.Equal(t, 120, p.InFlight())
	require.NoError(t, p.Received(Ack{Term: 1, Written: 4}))
	require.True(t, p.Open(), "the first batch is written, the second not")
	require.Equal(t, 60, p.InFlight())
	require.NoError(t, p.Received(Ack{Term: 1, Written: 2, Flushed: 2}), "late acks take nothing back")
	require.EqualValues(t, 4, p.Acked.Written)
	require.Error(t, p.Received(Ack{Term: 1, Written: 6}), "more than was sent")
}
