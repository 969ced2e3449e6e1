package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
)

func TestWhatWasPromisedIsKnownWithThePromise(t *testing.T) {
	old, promised := testGroup(3, "a", "any 1 (b, c, a)"), testGroup(4, "b", "any 1 (b, c, a)")
	accepted, err := DecodeAccepted(promised.Encode())
	require.NoError(t, err)
	require.Equal(t, promised, accepted)
	require.Equal(t, promised, Standing(old, accepted), "the control document was not written any more")
	require.Equal(t, promised, Standing(promised, old))
	none, err := DecodeAccepted(nil)
	require.NoError(t, err)
	require.Equal(t, old, Standing(old, none))
	_, err = DecodeAccepted(promised.Encode()[:5])
	require.Error(t, err)

	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(4)
	w.Str("b")
	w.Uint(7)
	accepted, err = DecodeAccepted(w.Bytes())
	require.NoError(t, err, "as it was written before")
	require.Equal(t, Group{Reign: Reign{Term: 4, Leader: "b"}, Life: 7}, accepted)
	require.Equal(t, old, Standing(old, accepted))
}
