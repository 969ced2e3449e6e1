package wal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestVerifyReportsWhatIsThere(t *testing.T) {
	fs := unclean(t, small(nil), 60)
	var segs []SegmentReport
	r, err := Verify(fs, testDir, func(s SegmentReport) { segs = append(segs, s) })
	require.NoError(t, err)
	require.Len(t, segs, r.Segments)
	require.Equal(t, testCluster, r.Cluster)
	require.Equal(t, topology.NodeID("a"), r.Node)
	require.Equal(t, [2]record.LSN{1, 60}, [2]record.LSN{r.First, r.Last})
	require.Equal(t, topology.History{{Term: 1, Start: 1}}, r.History)
	require.Zero(t, r.Torn)
	records := uint64(0)
	for i, s := range segs {
		require.Equal(t, segmentName(uint64(i+1)), s.File)
		require.Equal(t, i < len(segs)-1, s.Closed)
		require.Equal(t, uint64(s.Last+1-s.First), s.Records)
		require.LessOrEqual(t, s.Bytes, s.Size)
		records += s.Records
	}
	require.Equal(t, uint64(60), records)
}

func TestVerifyOfADirectoryWithoutALogReportsNothing(t *testing.T) {
	fs := vfs.NewMem()
	_, err := Verify(fs, testDir, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, fs.MkdirAll(testDir, 0o700))
	r, err := Verify(fs, testDir, nil)
	require.NoError(t, err)
	require.Equal(t, Report{}, r)
}

func TestVerifyTellsATornTailFromDamage(t *testing.T) {
	fs := unclean(t, small(nil), 10)
	r, err := Verify(fs, testDir, nil)
	require.NoError(t, err)
	b := content(t, fs, segmentName(1))
	b[r.Promised+frameBytes+3] ^= 1
	store(t, fs, segmentName(1), b)
	r, err = Verify(fs, testDir, nil)
	require.NoError(t, err)
	require.Equal(t, record.LSN(9), r.Last)
	require.Positive(t, r.Torn)
	b[r.Promised-1] ^= 1
	store(t, fs, segmentName(1), b)
	_, err = Verify(fs, testDir, nil)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
}

func TestDumpYieldsARangeAndWhatStandsBeforeDamage(t *testing.T) {
	fs := unclean(t, small(nil), 60)
	dump := func(from, to record.LSN) (ns []uint64, failed error) {
		for e, err := range Dump(fs, testDir, from, to) {
			if err != nil {
				return ns, err
			}
			ns = append(ns, number(t, e))
		}
		return ns, nil
	}
	ns, err := dump(10, 40)
	require.NoError(t, err)
	require.Equal(t, numbers(10, 40), ns)
	ns, err = dump(50, 1000)
	require.NoError(t, err)
	require.Equal(t, numbers(50, 60), ns)
	for e, err := range Dump(fs, testDir, 1, 60) {
		require.NoError(t, err)
		require.Equal(t, record.LSN(1), e.LSN)
		break
	}
	b := content(t, fs, segmentName(2))
	b[headerBytes+1] ^= 1
	store(t, fs, segmentName(2), b)
	ns, err = dump(1, 1000)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.Equal(t, segmentName(2), c.File)
	require.Equal(t, numbers(1, uint64(c.LSN)-1), ns)
}

func TestANewLogMayLearnItsClusterLater(t *testing.T) {
	fs := crashfs.New()
	o := small(fs)
	o.Cluster = [16]byte{}
	l := start(t, o)
	_, err := l.Append(1, numbered(1))
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorIs(t, l.Truncate(topology.Range{First: 5}), topology.ErrUnavailable)
	require.Zero(t, l.Cluster())
	require.Zero(t, l.Offset(3))
	require.Error(t, l.SetCluster([16]byte{}))
	require.Empty(t, names(t, fs, segmentExt))
	require.NoError(t, l.SetCluster(testCluster))
	require.NoError(t, l.SetCluster(testCluster))
	step(t, l, 1, 1, 3)
	require.NoError(t, l.stop())
	require.ErrorIs(t, l.SetCluster(testCluster), topology.ErrClosed)
	again := open(t, small(fs))
	require.Equal(t, numbers(1, 3), held(t, again))
	require.NoError(t, again.Close())
}

func TestALogThatWasNeverWrittenTakesAnotherStart(t *testing.T) {
	fs := crashfs.New()
	failing := errors.New("power failure")
	for n := 1; ; n++ {
		left := n
		intercept(fs, func(string, string) error {
			if left--; left <= 0 {
				return failing
			}
			return nil
		})
		l, err := Open(small(fs))
		if err == nil {
			require.NoError(t, l.Close())
			break
		}
		require.ErrorIs(t, err, failing)
		require.Less(t, n, 50)
	}
	intercept(fs, nil)
	reopened(t, clone(t, fs), nil)
}

func TestARealDirectoryWorksToo(t *testing.T) {
	dir := filepath.Join(realDir(t), "deep", "er")
	o := Options{Dir: dir, Cluster: testCluster, Node: "a"}
	l := start(t, o)
	step(t, l, 1, 1, 20)
	require.NoError(t, l.stop())
	stat, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), stat.Mode().Perm())
	r, err := Verify(vfs.Default, dir, nil)
	require.NoError(t, err)
	require.Equal(t, record.LSN(20), r.Last)
	again := open(t, o)
	require.Equal(t, numbers(1, 20), held(t, again))
	require.NoError(t, again.Close())
}
