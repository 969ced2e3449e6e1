package multileader

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
)

// A peer that takes nothing and goes on asking does not fill the memory of who answers.
func TestWhatWaitsForAPeerThatTakesNothingIsBounded(t *testing.T) {
	var b backlog
	fill := core.Message{Kind: core.MsgShip, Items: []core.Item{{Entry: record.Entry{Bytes: make([]byte, 1<<20)}}}}
	for range 2 * backlogBytesMax >> 20 {
		b.add(&fill)
	}
	require.Len(t, b.out, backlogBytesMax>>20)
	require.Equal(t, backlogBytesMax, b.bytes)
	ship := fill
	ship.From = 7
	b.add(&ship)
	require.Len(t, b.out, backlogBytesMax>>20+1, "what the window bounds is never dropped: it is not asked for again")
	require.Len(t, b.take(), backlogBytesMax>>20+1)
	for range 2 * backlogMax {
		b.add(&core.Message{Kind: core.MsgAsk})
	}
	require.Len(t, b.take(), backlogMax)
	b.add(&core.Message{Kind: core.MsgBeat, Next: 1})
	b.add(&core.Message{Kind: core.MsgBeat, Next: 2})
	require.Equal(t, []core.Message{{Kind: core.MsgBeat, Next: 2}}, b.take())
	b.add(&fill)
	require.NotZero(t, b.bytes)
	require.Len(t, b.take(), 1)
	require.Zero(t, b.bytes)
}
