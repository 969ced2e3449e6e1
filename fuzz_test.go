package triad

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
)

// FuzzDefinitions holds that what the log says of tables is refused, or comes back
// as it was written.
func FuzzDefinitions(f *testing.F) {
	f.Add("", definition{Table: Table{Name: "t"}, id: 16}.encode())
	f.Add("", definition{Table: Table{Name: "t", Kind: record.KindSet, TTL: time.Hour}, id: 17}.encode())
	f.Add(droppedPrefix+"10", encodeDropped("t"))
	f.Add("", encodeNext(18))
	f.Fuzz(func(t *testing.T, key string, b []byte) {
		if d, err := decodeDefinition("t", b); err == nil {
			again, err := decodeDefinition("t", d.encode())
			require.NoError(t, err)
			require.Equal(t, d, again)
		}
		if d, err := decodeDropped([]byte(key), b); err == nil {
			require.Equal(t, b, encodeDropped(d.name))
		}
		if id, err := decodeNext(b); err == nil {
			require.Equal(t, b, encodeNext(id))
		}
	})
}
