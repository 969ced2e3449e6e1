package store

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file that changes only with the format.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestPhysicalKeysAreTheGoldenOnes(t *testing.T) {
	var b strings.Builder
	for _, c := range []record.Cell{
		{},
		{Table: 1, Key: []byte("k")},
		{Table: 16, Key: []byte("user:1001"), Field: []byte("name")},
		{Table: 16, Key: []byte("a\x00b"), Field: []byte("\x00\x01")},
		{Table: 16, Key: []byte("\x00\x00"), Field: []byte("\xff")},
		{Table: 1<<32 - 1, Key: []byte("\xff\x00")},
	} {
		fmt.Fprintf(&b, "%d %q %q\n  %x\n  %x past\n", c.Table, c.Key, c.Field, appendCell(nil, c), pastOf(c))
	}
	for _, m := range []metaValue{formatValue(), appliedValue(4711), {metaStage, []byte("id")}, {metaMark, nil}} {
		fmt.Fprintf(&b, "%s\n  %x\n", m.key, m.value)
	}
	golden(t, "keys.txt", b.String())
}

func TestTheKeyOfTheInstalledSnapshotIsTheGoldenOne(t *testing.T) {
	golden(t, "installed.txt", fmt.Sprintf("%s\n  %x\n", metaFrom, []byte("id")))
}

func TestThePointerIsTheGoldenOne(t *testing.T) {
	golden(t, "pointer.txt", string(pointer{generation: 2, flushed: 4711}.encode()))
}

func pastOf(c record.Cell) []byte {
	return appendPast(nil, appendCell(nil, record.Cell{Table: c.Table, Key: c.Key}))
}

func anyCell() *rapid.Generator[record.Cell] {
	name := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 'a', 0xfe, 0xff}), 0, 6)
	return rapid.Custom(func(t *rapid.T) record.Cell {
		return record.Cell{
			Table: record.TableID(rapid.Uint32Range(0, 300).Draw(t, "table")),
			Key:   name.Draw(t, "key"),
			Field: name.Draw(t, "field"),
		}
	})
}

func TestPhysicalKeysCompareAsCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyCell().Draw(t, "a"), anyCell().Draw(t, "b")
		require.Equal(t, compareCells(a, b), bytes.Compare(appendCell(nil, a), appendCell(nil, b)))
	})
}

func TestAPhysicalKeyGivesItsCellBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCell().Draw(t, "cell")
		b := appendCell(nil, c)
		got, _, err := parseCell(b, nil)
		require.NoError(t, err)
		require.Zero(t, compareCells(c, got), "%v %v", c, got)
	})
}

func TestTheCellsOfAKeyAndNoOthersAreBetweenItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, c := anyCell().Draw(t, "key"), anyCell().Draw(t, "cell")
		if rapid.Bool().Draw(t, "same key") {
			c.Table, c.Key = k.Table, k.Key
		}
		b := appendCell(nil, c)
		from, to := appendCell(nil, record.Cell{Table: k.Table, Key: k.Key}), pastOf(k)
		between := bytes.Compare(from, b) <= 0 && bytes.Compare(b, to) < 0
		require.Equal(t, c.Table == k.Table && bytes.Equal(c.Key, k.Key), between)
	})
}

func TestAMalformedPhysicalKeyIsAnError(t *testing.T) {
	for _, h := range []string{"", "63", "6300000010", "6d00000010000161", "63000000106b", "63000000106b00", "63000000106b0003", "63000000106b00ff"} {
		b, err := hex.DecodeString(h)
		require.NoError(t, err)
		_, _, err = parseCell(b, nil)
		require.ErrorIs(t, err, topology.ErrMalformed, h)
	}
}

func TestADamagedPointerIsAnError(t *testing.T) {
	good := pointer{generation: 2, flushed: 4711}.encode()
	_, err := decodePointer(good)
	require.NoError(t, err)
	for i := range good {
		for _, bit := range []byte{1, 16, 128} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			_, err := decodePointer(bad)
			require.Error(t, err, "%q", bad)
		}
		_, err := decodePointer(good[:i])
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
	_, err = decodePointer(append(good, '\n'))
	require.ErrorIs(t, err, topology.ErrMalformed)
}
