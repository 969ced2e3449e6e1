package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
)

// FuzzParseCell holds that a physical key is refused, or is that of its cell.
func FuzzParseCell(f *testing.F) {
	for _, c := range []record.Cell{
		{}, {Table: 1, Key: []byte("k")}, {Table: 1 << 31, Key: []byte("a\x00b"), Field: []byte("\x00f")}, {Table: 16, Key: []byte{0, 0}, Field: []byte{0}},
	} {
		f.Add(appendCell(nil, c))
	}
	f.Add([]byte{prefixCell, 0, 0, 0, 1, 'a', escape})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _, err := parseCell(b, nil)
		if err == nil {
			require.Equal(t, b, appendCell(nil, c))
		}
	})
}

// FuzzPointer holds that the pointer is refused, or is exactly what is written.
func FuzzPointer(f *testing.F) {
	f.Add((pointer{generation: 1}).encode())
	f.Add((pointer{generation: 1 << 40, flushed: 1<<64 - 1}).encode())
	f.Add([]byte("triad store 2\nsomething else\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePointer(b)
		if err == nil {
			require.Equal(t, string(b), string(p.encode()))
		}
	})
}
