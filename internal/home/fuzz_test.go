package home

import (
	"math"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// FuzzBodies holds that the body of a file is refused, or reads as what it is
// written as. The fuzzer does not guess sums, so it is given what is below them.
func FuzzBodies(f *testing.F) {
	i := identity{cluster: "shop", node: "a", life: 7, known: true, places: []string{"log", "store"}, documents: []string{"term"}}
	f.Add(i.encode())
	f.Add(encodePlace("log", 7))
	f.Add(encodeDocument("term", document{sequence: 3, value: []byte("v")}))
	f.Add(encodeSummary(&topology.Kept{Why: "w", First: 1, Last: 2, Records: 2}, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := decodeIdentity(b); err == nil {
			again, err := decodeIdentity(i.encode())
			require.NoError(t, err)
			require.Equal(t, i, again)
		}
		if name, life, err := decodePlace(b); err == nil {
			require.Equal(t, b, encodePlace(name, life))
		}
		if d, err := decodeDocument(b, "term"); err == nil {
			require.Equal(t, b, encodeDocument("term", d))
		}
		var k topology.Kept
		if sum, err := decodeSummary(b, &k); err == nil {
			require.Equal(t, b, encodeSummary(&k, sum))
		}
	})
}

// FuzzUnseal holds that a file is refused, or holds what was sealed.
func FuzzUnseal(f *testing.F) {
	f.Add(seal(magicIdentity, []byte("body")))
	f.Add(seal(magicDocument, nil))
	f.Add([]byte(magicIdentity + "\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, magic := range []string{magicIdentity, magicPlace, magicDocument} {
			if body, err := unseal(magic, b); err == nil {
				require.Equal(t, b[:sealBytes+len(body)], seal(magic, body))
			}
		}
	})
}

// FuzzSideFiles holds that what is kept aside is refused, or yields entries whose
// sums hold, whatever stands in the file.
func FuzzSideFiles(f *testing.F) {
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(f, err)
	kept, err := h.Sidelog().Keep("why", tail(1, 3, nil))
	require.NoError(f, err)
	path := h.Sidelog().path(kept.Name)
	whole, err := disk.UnsafeGetFileDataBuffer(path)
	require.NoError(f, err)
	whole = append([]byte(nil), whole...)
	require.NoError(f, h.Close())
	f.Add(uint16(0), []byte{})
	f.Add(uint16(8), []byte{0xff, 0xff, 0xff, 0xff})
	f.Add(uint16(60), []byte("some other bytes"))
	f.Fuzz(func(t *testing.T, at uint16, over []byte) {
		disk := vfs.NewMem()
		h := open(t, disk)
		b := append([]byte(nil), whole...)
		copy(b[min(int(at), len(b)):], over)
		require.NoError(t, disk.MkdirAll(h.Sidelog().path(), 0o700))
		file, err := disk.Create(h.Sidelog().path(kept.Name), writeCategory)
		require.NoError(t, err)
		_, err = file.Write(b)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		_, _ = h.Sidelog().List()
		n := 0
		for e, err := range h.Sidelog().Entries(kept.Name) {
			if err != nil {
				break
			}
			require.Equal(t, record.Sum(e.Bytes), e.Sum)
			n++
		}
		require.LessOrEqual(t, n, math.MaxUint16)
	})
}
