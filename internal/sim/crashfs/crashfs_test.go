package crashfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

const sector = crashfs.SectorBytes

func fill(b byte, sectors int) []byte { return bytes.Repeat([]byte{b}, sectors*sector) }

// create makes a file whose name is durable, with durable bytes.
func create(t *testing.T, fs vfs.FS, name string, b []byte) vfs.File {
	t.Helper()
	f, err := fs.OpenReadWrite(name, "")
	require.NoError(t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	sync(t, fs, fs.PathDir(name))
	return f
}

func sync(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	d, err := fs.OpenDir(dir)
	require.NoError(t, err)
	require.NoError(t, d.Sync())
	require.NoError(t, d.Close())
}

func read(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(b)
}

func dir(t *testing.T) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	require.NoError(t, fs.MkdirAll("d", 0o700))
	sync(t, fs, "/")
	return fs
}

func rng(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestAPowerFailureTearsOnlyWhatWasNotSynced(t *testing.T) {
	fs := dir(t)
	f := create(t, fs, "d/x", fill(1, 4))
	_, err := f.WriteAt(fill(2, 2), sector)
	require.NoError(t, err)
	require.True(t, fs.Dirty("d/x"))
	seen := map[string]bool{}
	for seed := range uint64(200) {
		b := read(t, fs.Crash(crashfs.Sectors, rng(seed), crashfs.Call{}), "d/x")
		require.Equal(t, string(fill(1, 1)), b[:sector])
		require.Equal(t, string(fill(1, 1)), b[3*sector:])
		seen[fmt.Sprint(b[sector], b[2*sector])] = true
	}
	require.Len(t, seen, 4)
	require.Equal(t, string(fill(1, 4)), read(t, fs.PowerCut(), "d/x"))
	killed := fs.Crash(crashfs.Killed, nil, crashfs.Call{})
	require.Equal(t, byte(2), read(t, killed, "d/x")[sector])
	require.True(t, killed.Dirty("d/x"), "and it is no more durable than it was")
	require.Equal(t, string(fill(1, 4)), read(t, killed.PowerCut(), "d/x"))
}

func TestAWriteUnderWayIsTornWithinASector(t *testing.T) {
	fs := dir(t)
	f := create(t, fs, "d/x", fill(1, 4))
	cuts := map[int]bool{}
	fs.Before(func(c crashfs.Call) error {
		for seed := range uint64(50) {
			b := read(t, fs.Crash(crashfs.Torn, rng(seed), c), "d/x")
			n := bytes.Count([]byte(b), []byte{2})
			require.Equal(t, fill(2, 4)[:n], []byte(b)[:n], "a prefix")
			cuts[n%sector] = true
		}
		return nil
	})
	_, err := f.WriteAt(fill(2, 4), 0)
	require.NoError(t, err)
	require.Greater(t, len(cuts), 10)
}

func TestNamesAreDurableOnceTheirDirectoryIsSynced(t *testing.T) {
	fs := dir(t)
	require.NoError(t, create(t, fs, "d/old", []byte("old")).Close())
	require.NoError(t, create(t, fs, "d/new", []byte("new")).Close())
	require.NoError(t, fs.Rename("d/new", "d/old"))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		image := fs.Crash(crashfs.Sectors, rng(seed), crashfs.Call{})
		names, err := image.List("d")
		require.NoError(t, err)
		seen[fmt.Sprint(len(names), read(t, image, "d/old"))] = true
	}
	require.Equal(t, map[string]bool{"1new": true, "2old": true, "2new": true}, seen, "but never is the file lost")
	sync(t, fs, "d")
	require.Equal(t, "new", read(t, fs.PowerCut(), "d/old"))
	require.NoError(t, fs.RemoveAll("d"))
	require.Equal(t, "new", read(t, fs.PowerCut(), "d/old"), "removed, and not durably")
	require.NoError(t, fs.MkdirAll("d", 0o700))
	for seed := range uint64(100) {
		image := fs.Crash(crashfs.Sectors, rng(seed), crashfs.Call{})
		if names, err := image.List("d"); err == nil && len(names) > 0 {
			require.Equal(t, "new", read(t, image, "d/old"), "in the directory it was in")
		}
	}
}

func TestWhatAFailedSyncDroppedIsReadAndNeverDurable(t *testing.T) {
	fs := dir(t)
	f := create(t, fs, "d/x", []byte("one"))
	_, err := f.WriteAt([]byte("two"), 0)
	require.NoError(t, err)
	x := &crashfs.Fault{Key: "sync d/x #2", Cause: syscall.EIO}
	fs.Before(x.Hook)
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	require.True(t, x.Met())
	require.NoError(t, f.Sync())
	require.Equal(t, "two", read(t, fs, "d/x"))
	require.Equal(t, "one", read(t, fs.PowerCut(), "d/x"))
	killed := fs.Crash(crashfs.Killed, nil, crashfs.Call{})
	require.Equal(t, "two", read(t, killed, "d/x"))
	require.Equal(t, "one", read(t, killed.PowerCut(), "d/x"))
}

func TestAFaultIsMetWhereItWasPut(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  *crashfs.Fault
		failed []bool // write a, write a, remove b, write a
	}{
		{"once", &crashfs.Fault{Key: "write d/a #2", Cause: syscall.EIO}, []bool{false, true, false, false}},
		{"for ever", &crashfs.Fault{Key: "write d/a #2", Cause: syscall.EIO, Lasts: true}, []bool{false, true, true, true}},
		{"full", &crashfs.Fault{Key: "write d/a #2", Cause: syscall.ENOSPC, Lasts: true}, []bool{false, true, false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := dir(t)
			require.NoError(t, create(t, fs, "d/b", nil).Close())
			f, err := fs.Create("d/a", "")
			require.NoError(t, err)
			fs.Before(c.fault.Hook)
			do := func() error { _, err := f.Write([]byte("abcd")); return err }
			for i, op := range []func() error{do, do, func() error { return fs.Remove("d/b") }, do} {
				require.Equal(t, c.failed[i], errors.Is(op(), c.fault.Cause), i)
			}
			c.fault.End()
			require.NoError(t, do())
		})
	}
}

func TestAShortWriteGetsAsFarAsItSays(t *testing.T) {
	fs := dir(t)
	f, err := fs.Create("d/a", "")
	require.NoError(t, err)
	x := &crashfs.Fault{Key: "write d/a #1", Cause: syscall.ENOSPC, Short: true}
	fs.Before(x.Hook)
	n, err := f.Write([]byte("abcd"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 2, n)
	n, err = f.Write([]byte("ef"))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, "abef", read(t, fs, "d/a"))
}

func TestTheSameSeedGivesTheSameDisk(t *testing.T) {
	fs := dir(t)
	for i := range 20 {
		f := create(t, fs, fmt.Sprint("d/", i), fill(1, 2))
		_, err := f.WriteAt(fill(2, 2), 0)
		require.NoError(t, err)
		if i%2 == 0 {
			require.NoError(t, fs.Remove(fmt.Sprint("d/", i)))
		}
	}
	image := func() (all string) {
		crashed := fs.Crash(crashfs.Sectors, rng(7), crashfs.Call{})
		for i := range 20 {
			if _, err := crashed.Stat(fmt.Sprint("d/", i)); err == nil {
				all += fmt.Sprint(i, read(t, crashed, fmt.Sprint("d/", i)))
			}
		}
		return all
	}
	require.Equal(t, image(), image())
	calls := fs.Calls()
	require.Equal(t, "call 2, syncdir  #1", calls[1].String())
	require.Equal(t, "0", calls[2].Name())
	require.Empty(t, fs.Calls())
}

// A bit that flips is seen by who has the file open, and stays flipped whatever is
// written behind it, synced or lost.
func TestABitThatFlipsStaysFlipped(t *testing.T) {
	fs := dir(t)
	f := create(t, fs, "d/a", []byte("abcd"))
	_, err := f.WriteAt([]byte("ef"), 4)
	require.NoError(t, err)
	require.True(t, fs.Flip("d/a", 1, 0))
	require.True(t, fs.Flip("d/a", 4, 1))
	require.False(t, fs.Flip("d/a", 6, 0), "there is no such byte")
	require.False(t, fs.Flip("d/b", 0, 0), "there is no such file")
	require.Equal(t, "accdgf", read(t, fs, "d/a"))
	require.Equal(t, "accd", read(t, fs.PowerCut(), "d/a"))
	require.Equal(t, "accdgf", read(t, fs.Crash(crashfs.Killed, nil, crashfs.Call{}), "d/a"))
	require.NoError(t, f.Sync())
	require.Equal(t, "accdgf", read(t, fs.PowerCut(), "d/a"))
}
