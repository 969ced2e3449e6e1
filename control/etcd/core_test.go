package etcd

import (
	"bytes"
	"encoding/hex"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// made returns the version that was made by the ops, of which each is its letter.
func made(ops string) value {
	var v value
	for _, o := range []byte(ops) {
		v = v.next(op{o}, []byte{o})
	}
	return v
}

func TestAVersionFollowsWhatWasSeen(t *testing.T) {
	long := strings.Repeat("x", 2*opsMax)
	for _, c := range []struct {
		name, seen, found string
		refused           bool
	}{
		{"nothing was seen, nothing is there", "", "", false},
		{"nothing was seen", "", "abc", false},
		{"the same", "abc", "abc", false},
		{"one more", "abc", "abcd", false},
		{"some more", "abc", "abcdefg", false},
		{"so many more that it is not to be told", "abc", "abz" + long, false},
		{"none any more", "abc", "", true},
		{"an older one", "abc", "ab", true},
		{"the same version by another", "abc", "abz", true},
		{"a newer one after another", "abc", "abzd", true},
		{"the last that can be told", "abc", "abz" + long[:opsMax-1], true},
		{"a newer one of another history that met again", "abc", "zbc" + "d", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := made(c.seen).mark().refuses(made(c.found))
			if !c.refused {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, topology.ErrStale)
		})
	}
}

func TestAnAttemptIsFoundAmongWhatFollowed(t *testing.T) {
	long := strings.Repeat("x", 2*opsMax)
	for _, c := range []struct {
		name, sought, found string
		want                fate
	}{
		{"it is not there yet", "abc", "ab", pending},
		{"it is there", "abc", "abc", applied},
		{"others followed", "abc", "abcde", applied},
		{"as many as are told", "abc", "abc" + long[:opsMax-1], applied},
		{"too many", "abc", "abc" + long[:opsMax], forgotten},
		{"another was first", "abc", "abz", lost},
		{"another was first, and others followed", "abc", "abzc", lost},
		{"the first", "a", "a", applied},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, fateOf(made(c.sought), made(c.found))) })
	}
}

func TestAValueKeepsTheNewestOps(t *testing.T) {
	v := made(strings.Repeat("a", 3*opsMax) + "z")
	require.Len(t, v.ops, opsMax)
	require.Equal(t, op{'z'}, v.op())
	require.Equal(t, uint64(3*opsMax+1), v.version)
	require.Equal(t, op{}, value{}.op())
}

var update = flag.Bool("update", false, "write golden files that do not exist")

// golden compares b with what an older version wrote. A file is added, never edited.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if _, err := os.Stat(file); os.IsNotExist(err) && *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(hex.Dump(b)), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), hex.Dump(b))
}

func TestTheFormatsAreWhatTheyWere(t *testing.T) {
	v := made("ab")
	v.body = []byte("body")
	golden(t, "value.golden", encodeValue(v))
	got, err := decodeValue(encodeValue(v))
	require.NoError(t, err)
	require.Equal(t, v, got)

	m := marks{cluster: 0xc105, seen: map[string]mark{"number": made("a").mark(), "document/group": v.mark()}}
	golden(t, "marks.golden", encodeMarks(m))
	back, err := decodeMarks(encodeMarks(m))
	require.NoError(t, err)
	require.Equal(t, m, back)
}

func TestValuesThatNobodyWroteAreMalformed(t *testing.T) {
	whole := encodeValue(made("ab"))
	for name, b := range map[string][]byte{
		"nothing":                    nil,
		"cut short":                  whole[:len(whole)-1],
		"something after it":         append(slices.Clone(whole), 0),
		"another format":             append([]byte{0x94, 2}, whole[2:]...),
		"version 0":                  append([]byte{0x94, 1, 0}, whole[3:]...),
		"more ops than versions":     encodeValue(value{version: 1, ops: make([]op, 2)}),
		"no ops":                     encodeValue(value{version: 1}),
		"more ops than there may be": encodeValue(value{version: 99, ops: make([]op, opsMax+1)}),
		"a body that is too large":   encodeValue(value{version: 1, ops: make([]op, 1), body: make([]byte, BodyBytesMax+1)}),
		"half an op":                 {0x94, 1, 1, 0xc4, 1, 0, 0xc4, 0},
	} {
		_, err := decodeValue(b)
		require.ErrorIs(t, err, topology.ErrMalformed, name)
	}
}

func TestMarksHaveRoomForEveryName(t *testing.T) {
	m := marks{cluster: 1<<64 - 1, seen: map[string]mark{numberKey: {version: 1}}}
	for i := range NamesMax {
		name := "d" + strings.Repeat("x", nameBytesMax-3) + string([]byte{'a' + byte(i/16), 'a' + byte(i%16)})
		require.True(t, validName(name))
		m.seen[documentKey+name] = mark{version: 1<<64 - 1, op: op{byte(i)}}
	}
	got, err := decodeMarks(encodeMarks(m))
	require.NoError(t, err)
	require.True(t, maps.Equal(m.seen, got.seen))
	require.Less(t, len(encodeMarks(m)), 1<<16, "a small document")
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(encodeValue(made("a")))
	f.Add(encodeValue(made(strings.Repeat("a", 20))))
	f.Add([]byte{0x94, 1, 1, 0xc4, 1, 0, 0xc4, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeValue(b)
		if err != nil {
			require.ErrorIs(t, err, topology.ErrMalformed)
			return
		}
		require.True(t, bytes.Equal(b, encodeValue(v)), "there is one encoding")
		require.NoError(t, v.mark().refuses(v))
		require.Equal(t, applied, fateOf(v, v))
		if v.version < 1<<63 {
			require.Equal(t, pending, fateOf(v.next(op{1}, nil), v))
			require.NoError(t, v.mark().refuses(v.next(op{1}, nil)))
		}
	})
}

func FuzzDecodeMarks(f *testing.F) {
	f.Add(encodeMarks(marks{cluster: 7, seen: map[string]mark{"document/group": {version: 3}, "number": {version: 1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMarks(b)
		if err == nil && b != nil {
			require.True(t, bytes.Equal(b, encodeMarks(m)), "there is one encoding")
		}
	})
}
