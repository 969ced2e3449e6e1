package wal

import (
	"encoding/binary"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are the files of one small log: two terms, a closed segment, a promise,
// and a manifest with a history.
var goldens = []string{manifestName, segmentName(2), segmentName(3)}

func goldenLog(t *testing.T) *crashfs.FS {
	fs := crashfs.New()
	synctest.Test(t, func(t *testing.T) {
		l := start(t, small(fs))
		for i := uint64(1); i <= 60; i++ {
			step(t, l, 1+i/20, i, i)
		}
		require.NoError(t, l.Truncate(topology.Range{First: 40, Last: 60}))
		require.NoError(t, l.stop())
	})
	return fs
}

func TestTheFormatIsThatOfTheGoldenFiles(t *testing.T) {
	fs := goldenLog(t)
	for _, name := range goldens {
		path := filepath.Join("testdata", "v1", name)
		b := content(t, fs, name)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, b, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, b, name)
	}
	require.Equal(t, goldens[1:], names(t, fs, segmentExt))
}

func TestAGoldenLogIsReadAndContinued(t *testing.T) {
	fs := crashfs.New()
	require.NoError(t, fs.MkdirAll(testDir, 0o700))
	for _, name := range goldens {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		require.NoError(t, err)
		store(t, fs, name, b)
	}
	l := open(t, small(fs))
	first := l.Bounds().First
	require.Equal(t, numbers(uint64(first), 60), held(t, l))
	require.Equal(t, topology.History{{Term: 1, Start: 1}, {Term: 2, Start: 20}, {Term: 3, Start: 40}, {Term: 4, Start: 60}}, l.History())
	require.NoError(t, l.Close())
	reopened(t, fs, numbers(uint64(first), 60))
}

func TestANewerFormatIsRefused(t *testing.T) {
	image := unclean(t, small(nil), 60)
	t.Run("of a segment", func(t *testing.T) {
		fs := clone(t, image)
		b := content(t, fs, segmentName(2))
		binary.LittleEndian.PutUint32(b[8:], 2)
		store(t, fs, segmentName(2), b)
		wantFormat(t, refused(t, fs), segmentName(2))
	})
	t.Run("of the manifest", func(t *testing.T) {
		fs := clone(t, image)
		b := content(t, fs, manifestName)
		b[len(manifestMagic)+1] = 2
		n := len(b) - 4
		binary.LittleEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
		store(t, fs, manifestName, b)
		wantFormat(t, refused(t, fs), manifestName)
	})
}

func wantFormat(t *testing.T, err error, file string) {
	t.Helper()
	var f *FormatError
	require.ErrorAs(t, err, &f)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.Equal(t, FormatError{File: file, Format: 2, Known: 1}, *f)
}

func TestHeadersAndManifestsComeBackAsTheyWere(t *testing.T) {
	h := header{capacity: 1 << 30, cluster: testCluster, node: "node-1", number: 1<<40 + 7, first: 1 << 50, term: 1 << 60, offset: 1 << 55, prevEnd: 1<<30 - 1, chain: 0xdeadbeef}
	b, seed := h.block()
	got, gotSeed, err := parseHeader("x", b)
	require.NoError(t, err)
	require.Equal(t, h, got)
	require.Equal(t, seed, gotSeed)
	for _, m := range []manifest{
		{cluster: testCluster, node: "a", segment: 1, first: 1},
		{cluster: testCluster, node: "b", segment: 9, first: 7, cutting: true, cut: 0},
		{node: "c", segment: 9, first: 1 << 60, cutting: true, cut: 1 << 61, history: topology.History{{Term: 1, Start: 1}, {Term: 9, Start: 1 << 50}}},
	} {
		got, err := parseManifest("x", m.encode())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}

func TestAManifestThatMakesNoSenseIsRefused(t *testing.T) {
	for name, m := range map[string]manifest{
		"no segment":       {node: "a", first: 1},
		"no first LSN":     {node: "a", segment: 1},
		"terms that fall":  {node: "a", segment: 1, first: 9, history: topology.History{{Term: 2, Start: 1}, {Term: 1, Start: 3}}},
		"starts that fall": {node: "a", segment: 1, first: 9, history: topology.History{{Term: 1, Start: 3}, {Term: 2, Start: 3}}},
		"a term of 0":      {node: "a", segment: 1, first: 9, history: topology.History{{Term: 0, Start: 3}}},
		"a start of 0":     {node: "a", segment: 1, first: 9, history: topology.History{{Term: 1, Start: 0}}},
		"a node too long":  {node: topology.NodeID(make([]byte, 64)), segment: 1, first: 9},
		"a node not UTF-8": {node: "\xff", segment: 1, first: 9},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseManifest("x", m.encode())
			require.Error(t, err)
		})
	}
}

func TestAManifestThatDoesNotMatchItsSumIsRefused(t *testing.T) {
	b := manifest{cluster: testCluster, node: "a", segment: 9, first: 7, history: topology.History{{Term: 1, Start: 1}}}.encode()
	for i := range b {
		b[i] ^= 1
		_, err := parseManifest("x", b)
		require.Error(t, err, "byte %d", i)
		b[i] ^= 1
	}
	_, err := parseManifest("x", b)
	require.NoError(t, err)
}

func TestAFrameHoldsAnEntryAsItTravels(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 3, 1, 1)
	b := content(t, fs, segmentName(1))[headerBytes:]
	f, n, ok := parseFrame(b, l.disk.seg.seed, 1)
	require.True(t, ok)
	e, _, err := record.NextEntry(b[frameHeaderBytes:])
	require.NoError(t, err)
	require.Equal(t, [2]uint64{1, 3}, [2]uint64{uint64(e.LSN), e.Term})
	require.Equal(t, len(e.Bytes), n)
	require.Equal(t, kindEntry, f.kind)
	require.Equal(t, int64(headerBytes), f.sync)
	require.Equal(t, uint64(1), number(t, e))
}

func TestAFrameOfAnotherSegmentIsNone(t *testing.T) {
	b, _ := newMark(kindPromise, 1, 7, 5000, 3, 2, 1)
	_, _, ok := parseFrame(b, 1, 7)
	require.True(t, ok)
	_, _, ok = parseFrame(b, 2, 7)
	require.False(t, ok, "another header")
	_, _, ok = parseFrame(b, 1, 8)
	require.False(t, ok, "another number")
	_, _, ok = parseFrame(b[:frameBytes-1], 1, 7)
	require.False(t, ok, "cut short")
	seal(b, 'X', 1, 7, 5000)
	_, _, ok = parseFrame(b, 1, 7)
	require.False(t, ok, "of no kind that is known")
}

func TestNamesHaveOneSpelling(t *testing.T) {
	for name, want := range map[string]bool{
		"0000000000000001.seg": true, "00000000000000ff.seg": true,
		"00000000000000FF.seg": false, "1.seg": false, "+000000000000001.seg": false,
		"0000000000000001.seg.tmp": false, "0000000000000001": false, "00000000000000001.seg": false,
	} {
		_, ok := numberOf(name, segmentExt, segmentName)
		require.Equal(t, want, ok, name)
	}
}
