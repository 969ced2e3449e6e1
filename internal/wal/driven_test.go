package wal

import (
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

func TestADrivenLogWritesWhenItIsTold(t *testing.T) {
	o := Options{FS: vfs.NewMem(), Dir: "log", Node: "a", Cluster: [16]byte{1}, SegmentBytes: segmentBytesMin, FirstSegmentBytes: segmentBytesMin}
	l := open(t, o)
	d, err := l.Drive()
	require.NoError(t, err)
	_, err = l.Drive()
	require.ErrorIs(t, err, topology.ErrConflict)
	told := topology.Bounds{}
	d.Notify(func(b topology.Bounds, err error) {
		require.NoError(t, err)
		told = b
	})
	wrote, err := d.Write()
	require.NoError(t, err)
	require.False(t, wrote)
	for n := uint64(1); n <= 300; n++ {
		require.EqualValues(t, n, put(t, d, 1, n, n))
		require.EqualValues(t, n-1, d.Bounds().Flushed, "not before it is told to")
		for wrote := true; wrote; {
			wrote, err = d.Write()
			require.NoError(t, err)
		}
		require.EqualValues(t, n, told.Flushed)
	}
	segments, err := o.FS.List("log")
	require.NoError(t, err)
	require.Greater(t, len(segments), 4, "it has gone through some")
	require.NoError(t, d.Rest())
	put(t, d, 1, 301, 310)
	require.NoError(t, d.Close(), "and writes what is left when it ends")
	l = open(t, o)
	require.Len(t, held(t, l), 310)
	require.NoError(t, l.Close())
}

func TestADrivenLogWaitsForSpaceAndGoesOn(t *testing.T) {
	fs, full := crashfs.New(), false
	fs.Before(func(c crashfs.Call) error {
		if full && c.Op == "create" {
			return syscall.ENOSPC
		}
		return nil
	})
	o := Options{FS: fs, Dir: "log", Node: "a", Cluster: [16]byte{1}, SegmentBytes: segmentBytesMin, FirstSegmentBytes: segmentBytesMin}
	d, err := open(t, o).Drive()
	require.NoError(t, err)
	full = true
	n := uint64(0)
	for err == nil {
		_, err = d.Append(1, sized(n+1, 200))
		if err == nil {
			n++
			_, err = d.Write()
			require.NoError(t, err)
		}
	}
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.NoError(t, d.Failed())
	require.EqualValues(t, n, d.Bounds().Flushed)
	full = false
	_, err = d.Write()
	require.NoError(t, err)
	put(t, d, 1, n+1, n+1)
	for wrote := true; wrote; {
		wrote, err = d.Write()
		require.NoError(t, err)
	}
	require.EqualValues(t, n+1, d.Bounds().Flushed)
	require.NoError(t, d.Close())
}

// A spare that was made longer for a long record, and whose sync failed, looks
// long enough to the next process. It must be so after the power has failed too.
func TestASpareIsAsLongAsItLooks(t *testing.T) {
	fs, fail := crashfs.New(), false
	fs.Before(func(c crashfs.Call) error {
		if fail && c.Op == "sync" {
			return syscall.EIO
		}
		return nil
	})
	o := Options{FS: fs, Dir: "log", Node: "a", Cluster: [16]byte{1}, SegmentBytes: segmentBytesMin, FirstSegmentBytes: segmentBytesMin}
	d, err := open(t, o).Drive()
	require.NoError(t, err)
	_, err = d.Write() // makes the spare
	require.NoError(t, err)
	_, err = d.Append(1, sized(1, segmentBytesMin))
	require.NoError(t, err)
	fail = true
	_, err = d.Write()
	require.ErrorIs(t, err, syscall.EIO)

	fs = fs.Crash(crashfs.Killed, nil, crashfs.Call{})
	o.FS = fs
	d, err = open(t, o).Drive()
	require.NoError(t, err)
	_, err = d.Append(1, sized(1, segmentBytesMin))
	require.NoError(t, err)
	for wrote := true; wrote; {
		wrote, err = d.Write()
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, d.Bounds().Flushed)

	o.FS = fs.Crash(crashfs.Nothing, nil, crashfs.Call{})
	require.EqualValues(t, 1, open(t, o).Bounds().End)
}
