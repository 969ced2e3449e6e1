package wal

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
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
