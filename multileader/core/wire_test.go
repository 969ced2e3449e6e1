package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func messages(t require.TestingT) []core.Message {
	n := newNetwork()
	h := &host{name: "a", wall: epoch, net: n, cfg: core.Config{Self: "a", Origin: version.Origin{ID: 1, Incarnation: 1}, Members: []core.Member{{Site: "a", Number: 1}}}}
	h.start()
	n.hosts = append(n.hosts, h)
	h.step(core.Event{Kind: core.EvLead, Term: 1})
	h.put("k", "v")
	h.put("k", "")
	h.commit()
	require.Len(t, h.log, 3)
	return []core.Message{
		{Kind: core.MsgBeat, Next: 1},
		{Kind: core.MsgBeat, Marks: []core.Mark{{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 9, Chain: 1 << 31}, {Origin: version.Origin{ID: 1, Incarnation: 2}, Seq: 1}}, Next: 1 << 40},
		{Kind: core.MsgShip, From: 2, Next: 4, Items: h.log[1:]},
		{Kind: core.MsgAsk, Origin: version.Origin{ID: 7, Incarnation: 3}, First: 4, Last: 300},
	}
}

func TestMessagesReadBackAsTheyWereWritten(t *testing.T) {
	for _, m := range messages(t) {
		b := m.Encode()
		got, err := core.DecodeMessage(b)
		require.NoError(t, err)
		require.Equal(t, &m, got)
		require.Equal(t, b, got.Encode())
		for i := range b {
			_, err := core.DecodeMessage(b[:i])
			require.ErrorIs(t, err, topology.ErrMalformed, "cut at %d", i)
		}
		_, err = core.DecodeMessage(append(b, 0))
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestARecordThatWasDamagedOnTheWayIsNotTaken(t *testing.T) {
	m := messages(t)[2]
	b := m.Encode()
	b[len(b)-1] ^= 1
	_, err := core.DecodeMessage(b)
	require.ErrorIs(t, err, record.ErrSum)
}

func TestMessagesThatMeanNothingAreRefused(t *testing.T) {
	o := version.Origin{ID: 1, Incarnation: 1}
	for name, m := range map[string]core.Message{
		"no kind":            {},
		"an unknown kind":    {Kind: core.MsgPart + 1},
		"marks out of order": {Kind: core.MsgBeat, Marks: []core.Mark{{Origin: version.Origin{ID: 2}, Seq: 1}, {Origin: o, Seq: 1}}},
		"an origin twice":    {Kind: core.MsgBeat, Marks: []core.Mark{{Origin: o, Seq: 1}, {Origin: o, Seq: 2}}},
		"nobody's mark":      {Kind: core.MsgBeat, Marks: []core.Mark{{Seq: 1}}},
		"a mark of nothing":  {Kind: core.MsgBeat, Marks: []core.Mark{{Origin: o}}},
		"a note":             {Kind: core.MsgShip, Items: []core.Item{{}}},
	} {
		_, err := core.DecodeMessage(m.Encode())
		require.ErrorIs(t, err, topology.ErrMalformed, name)
	}
}

// Whatever comes from a network is read without harm, and once read has one
// encoding.
func FuzzMessage(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(m.Encode())
	}
	f.Add([]byte{0x98, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := core.DecodeMessage(b)
		if err == nil {
			require.Equal(t, b, m.Encode())
		}
	})
}
