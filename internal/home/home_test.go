package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func options(disk vfs.FS, dir string) Options {
	return Options{FS: disk, Dir: dir, Cluster: "shop", Node: "a"}
}

// open opens the directory and closes it when the test ends.
func open(t *testing.T, disk vfs.FS) *Home {
	t.Helper()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// refused opens the directory and returns the refusal.
func refused(t *testing.T, o Options, reason error) *Refusal {
	t.Helper()
	h, err := Open(o)
	require.Nil(t, h)
	require.ErrorIs(t, err, reason)
	var r *Refusal
	require.ErrorAs(t, err, &r)
	require.NotEmpty(t, r.Detail)
	require.NotEmpty(t, r.Remedy)
	require.Contains(t, err.Error(), r.Dir)
	return r
}

func write(t *testing.T, disk vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := disk.Create(path, writeCategory)
	require.NoError(t, err)
	_, err = f.Write(append([]byte(nil), b...))
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// spoil flips a bit in the middle of a file.
func spoil(t *testing.T, disk vfs.FS, path string) {
	t.Helper()
	f, err := disk.OpenReadWrite(path, writeCategory)
	require.NoError(t, err)
	s, err := f.Stat()
	require.NoError(t, err)
	at := (s.Size() + sealBytes) / 2
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestHomeIsMadeOnceAndFoundAgain(t *testing.T) {
	disk := vfs.NewMem()
	first, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	require.True(t, first.Fresh())
	require.NotZero(t, first.Life())
	require.Equal(t, "shop", first.ClusterName())
	require.Equal(t, topology.NodeID("a"), first.Node())
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "Close may be called again")

	second := open(t, disk)
	require.False(t, second.Fresh())
	require.Equal(t, first.Life(), second.Life())
}

func TestTwoHomesHaveTwoLives(t *testing.T) {
	require.NotEqual(t, open(t, vfs.NewMem()).Life(), open(t, vfs.NewMem()).Life())
}

func TestOpenRefusesWhatBelongsToSomebodyElse(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"another node":    func(o *Options) { o.Node = "b" },
		"another cluster": func(o *Options) { o.Cluster = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			h, err := Open(options(disk, "data/a"))
			require.NoError(t, err)
			require.NoError(t, h.Close())
			o := options(disk, "data/a")
			change(&o)
			refused(t, o, ErrForeign)
			open(t, disk)
		})
	}
}

func TestOpenRefusesAnInvalidRequest(t *testing.T) {
	for name, o := range map[string]Options{
		"no directory":   {Cluster: "shop", Node: "a"},
		"no node":        {Dir: "d", Cluster: "shop"},
		"no cluster":     {Dir: "d", Node: "a"},
		"a node's name":  {Dir: "d", Cluster: "shop", Node: "../a"},
		"a cluster name": {Dir: "d", Cluster: "Shop\n", Node: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			o.FS = disk
			_, err := Open(o)
			require.Error(t, err)
			names, err := disk.List("/")
			require.NoError(t, err)
			require.Empty(t, names)
		})
	}
}

func TestOpenRefusesASecondOwner(t *testing.T) {
	disk := vfs.NewMem()
	h := open(t, disk)
	refused(t, options(disk, "data/a"), ErrLocked)
	require.NoError(t, h.Save("term", []byte("1")), "the first one goes on")
}

func TestOpenRefusesASecondOwnerByAnotherPath(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	h, err := Open(options(nil, dir))
	require.NoError(t, err)
	defer func() { require.NoError(t, h.Close()) }()
	refused(t, options(nil, link), ErrLocked)
}

func TestOpenNeverMakesAHomeOverSomethingElse(t *testing.T) {
	for name, file := range map[string]string{
		"a directory of somebody else": "photo.jpg",
		"a log without its identity":   "log",
		"documents without one":        "stable",
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			require.NoError(t, disk.MkdirAll("data/a", 0o700))
			write(t, disk, "data/a/"+file, []byte("x"))
			refused(t, options(disk, "data/a"), ErrLost)
			names, err := disk.List("data/a")
			require.NoError(t, err)
			require.Equal(t, []string{file}, names, "nothing was added")
		})
	}
}

func TestOpenMakesAHomeInAnEmptyFileSystem(t *testing.T) {
	disk := vfs.NewMem()
	require.NoError(t, disk.MkdirAll("data/a/lost+found", 0o700))
	require.True(t, open(t, disk).Fresh())
}

func TestOpenRefusesAnIdentityItCannotRead(t *testing.T) {
	newer := func(body []byte) []byte { body[1] = identityFormat + 1; return seal(magicIdentity, body) }
	whole := (&identity{cluster: "shop", node: "a", life: 7}).encode()
	for name, c := range map[string]struct {
		bytes  []byte
		reason error
	}{
		"empty":            {nil, ErrCorrupt},
		"cut short":        {seal(magicIdentity, whole)[:20], ErrCorrupt},
		"of another kind":  {seal(magicPlace, whole), ErrCorrupt},
		"not an identity":  {seal(magicIdentity, []byte{0x91, 0x01}), ErrCorrupt},
		"trailing bytes":   {seal(magicIdentity, append(whole[:len(whole):len(whole)], 0)), ErrCorrupt},
		"a length too far": {[]byte(magicIdentity + "\xff\xff\xff\xff\x00\x00\x00\x00abc"), ErrCorrupt},
		"a newer format":   {newer(append([]byte(nil), whole...)), ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			require.NoError(t, disk.MkdirAll("data/a", 0o700))
			write(t, disk, "data/a/identity", c.bytes)
			refused(t, options(disk, "data/a"), c.reason)
		})
	}
}

func TestOpenRefusesASpoiltIdentity(t *testing.T) {
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	require.NoError(t, h.Close())
	spoil(t, disk, "data/a/identity")
	refused(t, options(disk, "data/a"), ErrCorrupt)
}

func TestOpenRefusesAnExposedDirectory(t *testing.T) {
	for _, mode := range []os.FileMode{0o755, 0o750, 0o701, 0o770} {
		t.Run(mode.String(), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a")
			h, err := Open(options(nil, dir))
			require.NoError(t, err)
			require.NoError(t, h.Close())
			stat, err := os.Stat(dir)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), stat.Mode().Perm())

			require.NoError(t, os.Chmod(dir, mode))
			require.Contains(t, refused(t, options(nil, dir), ErrExposed).Remedy, "chmod 700")
		})
	}
}

func TestOpenProtectsAnEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	h, err := Open(options(nil, dir))
	require.NoError(t, err)
	require.NoError(t, h.Close())
	stat, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), stat.Mode().Perm())
}

func TestOpenRefusesWhatItCannotWrite(t *testing.T) {
	for name, cause := range map[string]error{
		"a read-only file system": syscall.EROFS,
		"no permission":           syscall.EACCES,
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			h, err := Open(options(disk, "data/a"))
			require.NoError(t, err)
			require.NoError(t, h.Close())
			o := options(failing(disk, func(op errorfs.Op) error {
				if op.Kind == errorfs.OpCreate {
					return &fs.PathError{Op: "open", Path: op.Path, Err: cause}
				}
				return nil
			}), "data/a")
			refused(t, o, ErrReadOnly)
		})
	}
}

func TestOpenOnAFullDiskSaysSo(t *testing.T) {
	disk := failing(vfs.NewMem(), func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWriteAt {
			return syscall.ENOSPC
		}
		return nil
	})
	_, err := Open(options(disk, "data/a"))
	require.ErrorIs(t, err, topology.ErrDiskFull)
}

func TestClusterIdIsAdoptedForGood(t *testing.T) {
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	_, known := h.Cluster()
	require.False(t, known)
	mine, other := [16]byte{1}, [16]byte{2}
	require.NoError(t, h.Adopt(mine))
	require.NoError(t, h.Adopt(mine))
	require.ErrorIs(t, h.Adopt(other), ErrForeign)
	require.ErrorIs(t, h.Adopt([16]byte{}), topology.ErrMalformed)
	require.NoError(t, h.Close())

	again := open(t, disk)
	id, known := again.Cluster()
	require.True(t, known)
	require.Equal(t, mine, id)
	minted, drawn, err := again.Mint()
	require.NoError(t, err)
	require.False(t, drawn)
	require.Equal(t, mine, minted, "Mint changes nothing that is known")
}

func TestMintDrawsADifferentIdEveryTime(t *testing.T) {
	one, _, err := open(t, vfs.NewMem()).Mint()
	require.NoError(t, err)
	two, drawn, err := open(t, vfs.NewMem()).Mint()
	require.NoError(t, err)
	require.True(t, drawn)
	require.NotEqual(t, one, two)
	require.NotEqual(t, [16]byte{}, one)
}

func TestNothingIsWrittenAfterClose(t *testing.T) {
	h, err := Open(options(vfs.NewMem(), "data/a"))
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.ErrorIs(t, h.Save("term", nil), topology.ErrClosed)
	require.ErrorIs(t, h.Adopt([16]byte{1}), topology.ErrClosed)
	_, err = h.Load("term")
	require.ErrorIs(t, err, topology.ErrClosed)
}

// failing returns disk with the errors that f injects.
func failing(disk vfs.FS, f func(errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(disk, injector(f))
}

type injector func(errorfs.Op) error

func (injector) String() string                   { return "injector" }
func (i injector) MaybeError(op errorfs.Op) error { return i(op) }

func TestRefusalKeepsItsReason(t *testing.T) {
	err := error(&Refusal{Dir: "d", Err: ErrLocked, Detail: "x", Remedy: "y"})
	require.True(t, errors.Is(err, ErrLocked))
	require.Equal(t, "data directory d: another process has it open: x; y", err.Error())
}
