package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// FuzzParseToken holds that a token is refused, or has the one spelling there is.
func FuzzParseToken(f *testing.F) {
	f.Add("")
	f.Add("t1.")
	f.Add(topology.Token{Origin: version.Origin{ID: 1, Incarnation: 2}, Term: 3, LSN: 4}.String())
	f.Add(topology.Token{Origin: version.Origin{ID: 1<<32 - 1, Incarnation: 1<<32 - 1}, Term: 1<<64 - 1, LSN: 1<<64 - 1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		token, err := topology.ParseToken(s)
		if err != nil {
			require.ErrorIs(t, err, topology.ErrMalformed)
			return
		}
		again, err := topology.ParseToken(token.String())
		require.NoError(t, err)
		require.Equal(t, token, again)
		require.LessOrEqual(t, len(token.String()), topology.TokenBytesMax)
	})
}
