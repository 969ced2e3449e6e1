package home

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

const (
	copyA = "data/a/stable/term.a"
	copyB = "data/a/stable/term.b"
)

func load(t *testing.T, h *Home, name string) string {
	t.Helper()
	b, err := h.Load(name)
	require.NoError(t, err)
	require.NotNil(t, b)
	return string(b)
}

// reopen closes h and opens it again on disk.
func saved(t *testing.T, values ...string) *vfs.MemFS {
	t.Helper()
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	for _, v := range values {
		require.NoError(t, h.Save("term", []byte(v)))
	}
	require.NoError(t, h.Close())
	return disk
}

func TestDocumentIsNilUntilItWasSaved(t *testing.T) {
	h := open(t, vfs.NewMem())
	b, err := h.Load("term")
	require.NoError(t, err)
	require.Nil(t, b)
	require.NoError(t, h.Save("term", nil))
	b, err = h.Load("term")
	require.NoError(t, err)
	require.NotNil(t, b)
	require.Empty(t, b)
}

func TestDocumentKeepsTheLastValue(t *testing.T) {
	disk := saved(t, "a long first value", "second", "3")
	require.Equal(t, "3", load(t, open(t, disk), "term"))
}

func TestDocumentsAreApart(t *testing.T) {
	h := open(t, vfs.NewMem())
	names := []string{"a", "a.a", "a/a", "a.b", "a-a", "a_a"}
	for _, n := range names {
		require.NoError(t, h.Save(n, []byte("value of "+n)))
	}
	for _, n := range names {
		require.Equal(t, "value of "+n, load(t, h, n))
	}
}

func TestTheLossOfEitherCopyLosesNothing(t *testing.T) {
	for name, path := range map[string]string{"the first copy": copyA, "the second copy": copyB} {
		for how, lose := range map[string]func(*testing.T, *vfs.MemFS){
			"spoilt": func(t *testing.T, disk *vfs.MemFS) { spoil(t, disk, path) },
			"gone":   func(t *testing.T, disk *vfs.MemFS) { require.NoError(t, disk.Remove(path)) },
			"empty":  func(t *testing.T, disk *vfs.MemFS) { write(t, disk, path, nil) },
			"of another document": func(t *testing.T, disk *vfs.MemFS) {
				write(t, disk, path, seal(magicDocument, encodeDocument("vote", document{sequence: 9, value: []byte("x")})))
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				disk := saved(t, "old", "new")
				lose(t, disk)
				h := open(t, disk)
				require.Equal(t, "new", load(t, h, "term"))

				other := map[string]string{copyA: copyB, copyB: copyA}[path]
				spoil(t, disk, other)
				require.Equal(t, "new", load(t, h, "term"), "the lost copy was written anew")
			})
		}
	}
}

func TestTheLossOfBothCopiesIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		lose   func(*testing.T, *vfs.MemFS, string)
		reason error
	}{
		"spoilt": {func(t *testing.T, disk *vfs.MemFS, path string) { spoil(t, disk, path) }, ErrCorrupt},
		"gone":   {func(t *testing.T, disk *vfs.MemFS, path string) { require.NoError(t, disk.Remove(path)) }, ErrLost},
	} {
		t.Run(name, func(t *testing.T) {
			disk := saved(t, "1")
			c.lose(t, disk, copyA)
			c.lose(t, disk, copyB)
			h := open(t, disk)
			_, err := h.Load("term")
			require.ErrorIs(t, err, c.reason)
			require.ErrorIs(t, h.Save("term", []byte("2")), c.reason, "nor is it written over")
		})
	}
}

func TestTheLossOfTheStableDirectoryIsAnError(t *testing.T) {
	disk := saved(t, "1")
	require.NoError(t, disk.RemoveAll("data/a/stable"))
	_, err := open(t, disk).Load("term")
	require.ErrorIs(t, err, ErrLost)
}

func TestADocumentOfANewerFormatIsNeitherReadNorWrittenOver(t *testing.T) {
	disk := saved(t, "1")
	body := encodeDocument("term", document{sequence: 2, value: []byte("2")})
	body[1] = documentFormat + 1
	newer := seal(magicDocument, body)
	write(t, disk, copyA, newer)
	h := open(t, disk)
	_, err := h.Load("term")
	require.ErrorIs(t, err, ErrNewer)
	require.ErrorIs(t, h.Save("term", []byte("3")), ErrNewer)
	left, err := disk.UnsafeGetFileDataBuffer(copyA)
	require.NoError(t, err)
	require.Equal(t, newer, left)
}

func TestDocumentLimits(t *testing.T) {
	h := open(t, vfs.NewMem())
	most := bytes.Repeat([]byte{7}, DocumentBytesMax)
	require.NoError(t, h.Save("term", most))
	require.Equal(t, string(most), load(t, h, "term"))
	require.ErrorIs(t, h.Save("term", append(most, 7)), topology.ErrTooLarge)
	for _, name := range []string{"", "Term", "../x", "a b", "é", "1a", strings.Repeat("a", 101)} {
		require.Error(t, h.Save(name, nil), name)
		_, err := h.Load(name)
		require.Error(t, err, name)
	}
	require.NoError(t, h.Save(strings.Repeat("a", 100), nil))
}

func TestDocumentsHaveALimit(t *testing.T) {
	h := open(t, vfs.NewMem())
	h.identity.documents = nil
	for i := range DocumentsMax {
		h.identity.documents = append(h.identity.documents, fmt.Sprintf("d%04d", i))
	}
	require.ErrorIs(t, h.Save("one-more", nil), topology.ErrTooLarge)
}

func TestAFailedSyncFailsTheHomeForGood(t *testing.T) {
	for name, cause := range map[string]error{"input/output error": syscall.EIO, "no space": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			var on bool
			disk := failing(vfs.NewMem(), func(op errorfs.Op) error {
				if on && op.Kind == errorfs.OpFileSync {
					return cause
				}
				return nil
			})
			h := open(t, disk)
			var told []error
			h.ill = func(err error) { told = append(told, err) }
			require.NoError(t, h.Save("term", []byte("1")))
			on = true
			require.ErrorIs(t, h.Save("term", []byte("2")), topology.ErrFailed)
			on = false
			require.ErrorIs(t, h.Save("term", []byte("3")), topology.ErrFailed)
			_, err := h.Load("term")
			require.ErrorIs(t, err, topology.ErrFailed, "what the cache shows is not what the disk has")
			require.Len(t, told, 1, "the owner is told, once")
			require.ErrorIs(t, told[0], cause)
		})
	}
}

func TestAFullDiskFailsOneSaveAndNotTheNext(t *testing.T) {
	var full bool
	disk := failing(vfs.NewMem(), func(op errorfs.Op) error {
		if full && op.Kind == errorfs.OpFileWriteAt {
			return syscall.ENOSPC
		}
		return nil
	})
	h := open(t, disk)
	require.NoError(t, h.Save("term", []byte("1")))
	full = true
	require.ErrorIs(t, h.Save("term", []byte("2")), topology.ErrDiskFull)
	full = false
	require.Equal(t, "1", load(t, h, "term"))
	require.NoError(t, h.Save("term", []byte("3")))
	require.Equal(t, "3", load(t, h, "term"))
}

func TestSavesOfManyTakeTurns(t *testing.T) {
	disk := vfs.NewMem()
	h := open(t, disk)
	var wait sync.WaitGroup
	for who := range 8 {
		wait.Go(func() {
			for i := range 50 {
				_ = h.Save(fmt.Sprintf("d%d", who%4), fmt.Appendf(nil, "%d", i))
				_, _ = h.Load(fmt.Sprintf("d%d", (who+1)%4))
			}
		})
	}
	wait.Wait()
	for i := range 4 {
		require.Equal(t, "49", load(t, h, fmt.Sprintf("d%d", i)))
	}
}

// A crash at any sync leaves every document at a value no older than the last
// one that Save returned for, and the directory fit to be opened.
func TestNoCrashForgetsWhatWasSaved(t *testing.T) {
	const steps = 12
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		var moments []*vfs.MemFS
		var atLeast [][3]int
		var done [3]int
		disk := vfs.NewCrashableMem()
		watched := failing(disk, func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpRename || op.Kind == errorfs.OpFileWriteAt {
				moments = append(moments, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(random.IntN(101)), RNG: random}))
				atLeast = append(atLeast, done)
			}
			return nil
		})
		h, err := Open(options(watched, "data/a"))
		require.NoError(t, err)
		for range steps {
			which := random.IntN(3)
			require.NoError(t, h.Save(fmt.Sprintf("d%d", which), fmt.Appendf(nil, "%d", done[which]+1)))
			done[which]++
		}
		require.NoError(t, h.Close())
		for i, moment := range moments {
			again, err := Open(options(moment, "data/a"))
			require.NoError(t, err, "seed %d, moment %d", seed, i)
			for which, least := range atLeast[i] {
				b, err := again.Load(fmt.Sprintf("d%d", which))
				require.NoError(t, err)
				var got int
				if b != nil {
					_, err = fmt.Sscan(string(b), &got)
					require.NoError(t, err)
				}
				require.GreaterOrEqual(t, got, least, "seed %d, moment %d", seed, i)
				require.LessOrEqual(t, got, least+1)
			}
			require.NoError(t, again.Close())
		}
	}
}

// A crash while the directory is made leaves one that is either made or still
// to be made, and never one whose adopted cluster is forgotten.
func TestNoCrashLeavesAHalfMadeHome(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 2))
		var moments []*vfs.MemFS
		var adopted, placed []bool
		var done, made bool
		disk := vfs.NewCrashableMem()
		watched := failing(disk, func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				moments = append(moments, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(random.IntN(101)), RNG: random}))
				adopted, placed = append(adopted, done), append(placed, made)
			}
			return nil
		})
		h, err := Open(options(watched, "data/a"))
		require.NoError(t, err)
		require.NoError(t, h.Adopt([16]byte{9}))
		done = true
		_, err = h.Place("log")
		require.NoError(t, err)
		made = true
		require.NoError(t, h.Save("term", nil))
		require.NoError(t, h.Close())
		for i, moment := range moments {
			again, err := Open(options(moment, "data/a"))
			require.NoError(t, err, "seed %d, moment %d\n%v", seed, i, moment)
			_, known := again.Cluster()
			require.True(t, known || !adopted[i])
			if placed[i] {
				require.Contains(t, again.identity.places, "log")
			}
			_, err = again.Place("log")
			require.NoError(t, err)
			require.NoError(t, again.Close())
		}
	}
}
