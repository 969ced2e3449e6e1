package triad

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
)

// The bytes of format 1, which stand in logs and stores: a later version must
// read them, so a change here is a change of the format.
func TestTheFormsInTheSystemTableStay(t *testing.T) {
	require.Equal(t, "\x93\x01\x10\x02", string(definition{Table: users, id: record.TableFirst}.encode()))
	lives := definition{Table: Table{Name: "carts", Kind: record.KindSet, TTL: time.Hour}, id: 300}
	require.Equal(t, "\x94\x02\xcd\x01\x2c\x04\xce\x00\x36\xee\x80", string(lives.encode()), "format 2: with a TTL")
	resolved := definition{Table: Table{Name: "carts", Kind: record.KindBytes, Resolver: "stock@2"}, id: 300, digest: []byte("0123456789abcdef")}
	require.Equal(t, "\x96\x03\xcd\x01\x2c\x01\x00\xa7stock@2\xc4\x100123456789abcdef", string(resolved.encode()), "format 3: with a resolver")
	require.Equal(t, "\x92\x01\xa5carts", string(encodeDropped("carts")))
	require.Equal(t, "dropped/0000012c", string(droppedKey(300)))
	require.Equal(t, "\x92\x01\xcd\x12\x34", string(encodeNext(0x1234)))
	require.Equal(t, "table/users", string(tableKey("users")))
	require.Equal(t, "tables/next", nextTableKey)
}

func TestTheFormOfARowStays(t *testing.T) {
	ms, err := definition{Table: users, id: 20}.put([]byte("k"), []byte("\x82\xa1b\x01\xa1a\xa1x"), 0, time.Time{})
	require.NoError(t, err)
	require.Equal(t, []record.Mutation{
		{Table: 20, Key: []byte("k"), Op: record.OpDelete, Kind: record.KindRow},
		{Table: 20, Key: []byte("k"), Op: record.OpPut, Kind: record.KindRow},
		{Table: 20, Key: []byte("k"), Field: []byte("a"), Op: record.OpPut, Kind: record.KindRow, Value: []byte("\xa1x")},
		{Table: 20, Key: []byte("k"), Field: []byte("b"), Op: record.OpPut, Kind: record.KindRow, Value: []byte("\x01")},
	}, ms)
}
