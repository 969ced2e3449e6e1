package static

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func FuzzDecodeDocument(f *testing.F) {
	f.Add(encodeDocument(topology.Document{Version: 1}))
	f.Add(encodeDocument(topology.Document{Version: 1 << 60, Body: []byte("body")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDocument(b, "leader")
		if err == nil {
			require.Equal(t, b, encodeDocument(d))
		}
	})
}
