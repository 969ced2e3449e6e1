package wal

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

// FuzzOpen puts arbitrary bytes over a segment, and over the manifest. Whatever
// they are, the log is refused, or opens with a prefix of what it held, goes on,
// and opens again.
func FuzzOpen(f *testing.F) {
	fs := crashfs.New()
	l, err := Open(small(fs))
	if err != nil {
		f.Fatal(err)
	}
	live := run(f, l)
	step(f, live, 1, 1, 12)
	segment, man := content(f, fs, segmentName(1)), content(f, fs, manifestName)
	if err := live.stop(); err != nil {
		f.Fatal(err)
	}
	end := int(l.disk.seg.end)
	f.Add(uint16(0), []byte{}, false)
	f.Add(uint16(headerBytes), make([]byte, 500), false)
	f.Add(uint16(end-frameBytes), segment[headerBytes:headerBytes+300], false)
	f.Add(uint16(0), segment[:headerBytes], false)
	f.Add(uint16(headerBytes), segment[headerBytes:end], false)
	f.Add(uint16(0), man, true)
	f.Add(uint16(9), []byte{2}, true)
	f.Fuzz(func(t *testing.T, at uint16, b []byte, over bool) {
		fs := vfs.NewMem()
		require.NoError(t, fs.MkdirAll(testDir, 0o700))
		put := func(name string, content []byte, hit bool) {
			content = append([]byte(nil), content...)
			if hit && int(at) < len(content) {
				copy(content[at:], b)
			}
			store(t, fs, name, content)
		}
		put(segmentName(1), segment, !over)
		put(manifestName, man, over)
		l, err := Open(small(fs))
		if err != nil {
			return
		}
		ns := held(t, l)
		require.Equal(t, numbers(1, uint64(len(ns))), ns)
		live := run(t, l)
		step(t, live, 1000, 70, 72)
		require.NoError(t, live.stop())
		l, err = Open(small(fs))
		require.NoError(t, err)
		require.Equal(t, append(ns, 70, 71, 72), held(t, l))
		require.NoError(t, l.Close())
	})
}

// FuzzManifest lets any body stand in a manifest whose sum holds: it is refused, or
// is what is written.
func FuzzManifest(f *testing.F) {
	for _, m := range []manifest{
		{cluster: testCluster, node: "a", segment: 1, first: 1},
		{cluster: testCluster, node: "b-2", segment: 9, first: 1 << 40, cutting: true, cut: 1<<40 + 5, history: topology.History{{Term: 1, Start: 1}, {Term: 7, Start: 90}}},
	} {
		b := m.encode()
		f.Add(b[len(manifestMagic) : len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b := append([]byte(manifestMagic), body...)
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		m, err := parseManifest(manifestName, b)
		if err == nil {
			require.Equal(t, b, m.encode())
		}
	})
}
