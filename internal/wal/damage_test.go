package wal

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// unclean returns a log of n groups of one record each that was not stopped: it
// is as a process leaves it that was killed.
func unclean(t *testing.T, o Options, n uint64) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	o.FS = fs
	l := start(t, o)
	step(t, l, 1, 1, n)
	image := clone(t, fs)
	require.NoError(t, l.stop())
	return image
}

// clean returns a log of n groups of one record each that was stopped.
func clean(t *testing.T, o Options, n uint64) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	o.FS = fs
	l := start(t, o)
	step(t, l, 1, 1, n)
	require.NoError(t, l.stop())
	return clone(t, fs)
}

// refused opens a log that must be refused, and left as it is.
func refused(t *testing.T, fs *crashfs.FS) error {
	t.Helper()
	before := map[string][]byte{}
	names, err := fs.List(testDir)
	require.NoError(t, err)
	for _, n := range names {
		before[n] = content(t, fs, n)
	}
	_, err = Open(small(fs))
	require.Error(t, err)
	names, lerr := fs.List(testDir)
	require.NoError(t, lerr)
	require.Len(t, names, len(before))
	for n, b := range before {
		require.Equal(t, b, content(t, fs, n))
	}
	return err
}

// corrupted opens a log that must be refused as corrupt.
func corrupted(t *testing.T, fs *crashfs.FS) *CorruptError {
	t.Helper()
	err := refused(t, fs)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.ErrorIs(t, err, topology.ErrQuarantined)
	require.NotEmpty(t, c.File)
	require.NotEmpty(t, c.Reason)
	require.NotEmpty(t, c.Remedy)
	return c
}

// reopened opens a log, checks what it holds, and goes on with it.
func reopened(t *testing.T, fs *crashfs.FS, want []uint64) {
	t.Helper()
	l := start(t, small(fs))
	require.Equal(t, want, held(t, l))
	step(t, l, max(l.History().Last(), 1), 800, 803)
	require.NoError(t, l.stop())
	again := open(t, small(fs))
	require.Equal(t, append(want, numbers(800, 803)...), held(t, again))
	require.NoError(t, again.Close())
}

func TestAFlippedBitIsRefusedOrBehindTheLastPromise(t *testing.T) {
	for name, image := range map[string]*crashfs.FS{
		"of a log that was killed":  unclean(t, small(nil), 5),
		"of a log that was stopped": clean(t, small(nil), 5),
		"of several segments":       unclean(t, small(nil), 25),
	} {
		t.Run(name, func(t *testing.T) {
			ends := map[string]int64{}
			report, err := Verify(image, testDir, func(s SegmentReport) { ends[s.File] = s.Bytes })
			require.NoError(t, err)
			segments := names(t, image, segmentExt)
			require.Equal(t, name == "of several segments", len(segments) > 1)
			for _, file := range append(segments, manifestName) {
				original := content(t, image, file)
				promised := int64(len(original))
				if end, ok := ends[file]; ok {
					promised = end // behind its footer, a segment means nothing
				}
				if file == segments[len(segments)-1] {
					promised = report.Promised
				}
				for at := range original {
					zeros := at > 150 && at < headerSumAt || at > int(ends[file])+100
					if file != manifestName && zeros && at%97 != 0 {
						continue // they are all alike
					}
					b := append([]byte(nil), original...)
					b[at] ^= 1 << (at % 8)
					store(t, image, file, b)
					flipped(t, image, int64(at) < promised, int(report.Last))
				}
				store(t, image, file, original)
			}
		})
	}
}

// flipped judges a log with one bit flipped: damage to what was promised is
// refused, damage behind it costs the last group at most.
func flipped(t *testing.T, fs *crashfs.FS, promised bool, records int) {
	t.Helper()
	_, err := Verify(fs, testDir, nil)
	if promised {
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	n := 0
	for e, err := range Dump(fs, testDir, 1, ^record.LSN(0)) {
		require.NoError(t, err)
		n++
		require.Equal(t, uint64(n), number(t, e))
	}
	require.GreaterOrEqual(t, n, records-1)
}

func TestATornTailIsCutAndLogged(t *testing.T) {
	image := unclean(t, small(nil), 10)
	file := segmentName(1)
	b := content(t, image, file)
	report, err := Verify(image, testDir, nil)
	require.NoError(t, err)
	torn := report.Promised + frameBytes + 3 // in the last record
	clear(b[torn:])
	b[torn] = 0xff
	store(t, image, file, b)

	o := small(image)
	logger, said := logged()
	o.Logger = logger
	l := open(t, o)
	require.Equal(t, numbers(1, 9), held(t, l))
	require.NoError(t, l.Close())
	require.Contains(t, said.String(), "torn tail cut")
	require.Contains(t, said.String(), "lsn=10")
	require.Contains(t, said.String(), file)
	require.Zero(t, content(t, image, file)[report.Promised], "the remains are zeroed")
	reopened(t, image, numbers(1, 9))
}

func TestAFrameBehindATornOneIsNeverTakenForItsContinuation(t *testing.T) {
	// Two records in one group: the first is torn, the second whole. A record
	// of the first one's length in its place must not bring the second back.
	image := unclean(t, small(nil), 3)
	l := start(t, small(image))
	_, err := l.Append(1, sized(4, 50), sized(5, 50))
	require.NoError(t, err)
	flush(t, l)
	image = clone(t, image)
	require.NoError(t, l.stop())
	b := content(t, image, segmentName(1))
	report, err := Verify(image, testDir, nil)
	require.NoError(t, err)
	require.Equal(t, record.LSN(5), report.Last)
	b[report.Promised+frameBytes+60] ^= 1
	store(t, image, segmentName(1), b)

	l = start(t, small(image))
	require.Equal(t, numbers(1, 3), held(t, l))
	_, err = l.Append(1, sized(4, 50))
	require.NoError(t, err)
	flush(t, l)
	image = clone(t, image)
	require.NoError(t, l.stop())
	reopened(t, image, numbers(1, 4))
}

func TestAHoleOfZerosBehindTheLastPromiseIsCut(t *testing.T) {
	o := small(crashfs.New())
	o.SegmentBytes = 64 << 10
	l := start(t, o)
	step(t, l, 1, 1, 3)
	var rs []record.Record
	for i := uint64(4); i < 100; i++ {
		rs = append(rs, sized(i, 200))
	}
	_, err := l.Append(1, rs...)
	require.NoError(t, err)
	flush(t, l)
	image := clone(t, o.FS)
	require.NoError(t, l.stop())
	b := content(t, image, segmentName(1))
	clear(b[3*4096 : 4*4096])
	store(t, image, segmentName(1), b)
	live := open(t, small(image))
	kept := held(t, live)
	require.NoError(t, live.Close())
	require.Greater(t, len(kept), 3)
	require.Less(t, len(kept), 99)
	reopened(t, image, kept)
}

func drop(t *testing.T, fs *crashfs.FS, name string) {
	t.Helper()
	require.NoError(t, fs.Remove(fs.PathJoin(testDir, name)))
}

func TestALogOfSomebodyElseIsRefused(t *testing.T) {
	image := unclean(t, small(nil), 60)
	cluster, node := small(image), small(image)
	cluster.Cluster[3] ^= 1
	node.Node = "b"
	for name, o := range map[string]Options{"another cluster": cluster, "another node": node} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(o)
			var f *ForeignError
			require.ErrorAs(t, err, &f)
			require.ErrorIs(t, err, topology.ErrConflict)
		})
	}
	t.Run("one segment of another cluster", func(t *testing.T) {
		o := small(nil)
		o.Cluster[3] ^= 1
		other := unclean(t, o, 60)
		fs := clone(t, image)
		store(t, fs, segmentName(2), content(t, other, segmentName(2)))
		var f *ForeignError
		require.ErrorAs(t, refused(t, fs), &f)
		require.Equal(t, segmentName(2), f.File)
	})
	t.Run("an unknown cluster takes what is there", func(t *testing.T) {
		o := small(clone(t, image))
		o.Cluster = [16]byte{}
		l := open(t, o)
		require.Equal(t, testCluster, l.Cluster())
		require.NoError(t, l.SetCluster(testCluster))
		require.ErrorIs(t, l.SetCluster([16]byte{9}), topology.ErrConflict)
		require.NoError(t, l.Close())
	})
}

func TestDamageFoundByAReadIsToldAndTheLogGoesOn(t *testing.T) {
	fs := vfs.NewMem()
	l := start(t, small(fs))
	step(t, l, 1, 1, 200)
	f, err := l.d.edit(segmentName(2))
	require.NoError(t, err)
	require.NoError(t, writeAt(f, []byte{0xff, 0xff, 0xff}, headerBytes+frameBytes+20))
	require.NoError(t, f.Close())
	var last record.LSN
	for e, err := range l.Read(t.Context(), 1) {
		if err != nil {
			var c *CorruptError
			require.ErrorAs(t, err, &c)
			require.ErrorIs(t, err, record.ErrSum)
			require.Equal(t, segmentName(2), c.File)
			require.Equal(t, last+1, c.LSN)
			break
		}
		last = e.LSN
	}
	require.Less(t, last, record.LSN(200))
	require.NoError(t, l.Failed())
	step(t, l, 1, 201, 202)
}

func TestAnUnreadableFileIsCorrupt(t *testing.T) {
	image := unclean(t, small(nil), 30)
	broken := false
	fs := errorfs.Wrap(image, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken && op.Kind == errorfs.OpFileReadAt && op.Offset >= headerBytes {
			return syscall.EIO
		}
		return nil
	}))
	o := small(fs)
	l := open(t, o)
	broken = true
	for _, err := range l.Read(t.Context(), 1) {
		require.ErrorIs(t, err, syscall.EIO)
		require.ErrorIs(t, err, topology.ErrQuarantined)
	}
	require.NoError(t, l.Close())
	_, err := Open(o)
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.ErrorIs(t, err, syscall.EIO)
}

func TestAFileThatCannotBeOpenedSaysNothingAboutTheLog(t *testing.T) {
	image := unclean(t, small(nil), 30)
	broken := true
	fs := errorfs.Wrap(image, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken && op.Kind == errorfs.OpOpen {
			return syscall.EMFILE
		}
		return nil
	}))
	_, err := Open(small(fs))
	require.ErrorIs(t, err, syscall.EMFILE)
	require.NotErrorIs(t, err, topology.ErrQuarantined)
	broken = false
	l := open(t, small(fs))
	broken = true
	for _, err := range l.Read(t.Context(), 1) {
		require.ErrorIs(t, err, syscall.EMFILE)
		require.NotErrorIs(t, err, topology.ErrQuarantined)
	}
	broken = false
	require.Equal(t, numbers(1, 30), held(t, l))
	require.NoError(t, l.Close())
}

func TestErrorsSayWhatAndWhereAndWhatToDo(t *testing.T) {
	for err, want := range map[error]string{
		corrupt("x.seg", 12, 3, io.ErrUnexpectedEOF, "no %s", "frame"):              "log file x.seg, offset 12, LSN 3: no frame: unexpected EOF; " + remedyPeers,
		corrupt("x.seg", 12, 0, nil, "no frame"):                                    "log file x.seg, offset 12: no frame; " + remedyPeers,
		&FormatError{File: "manifest", Format: 2, Known: 1}:                         "log file manifest has format 2, this version knows 1; " + remedyUpgrade,
		&OrderError{LSN: 5, Next: 4, Term: 1, Last: 2}:                              "entry 5 of term 1 does not continue a log whose next LSN is 4 and whose last term is 2",
		&ForeignError{File: "manifest", Cluster: [16]byte{1}, Node: "a", Self: "b"}: "log file manifest belongs to node a of cluster 01000000000000000000000000000000, this is node b of cluster 00000000000000000000000000000000; " + remedyPlace,
		failure("syncing", syscall.EIO):                                             "log: syncing: the node has failed: input/output error",
		failure("again", failure("syncing", syscall.ENOSPC)):                        "log: syncing: the disk is full: no space left on device",
		errors.Unwrap(&ForeignError{}):                                              "conflict",
	} {
		require.EqualError(t, err, want)
	}
}
