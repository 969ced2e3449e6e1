package home

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// tail returns n entries from an LSN on, then err if there is one.
func tail(from record.LSN, n int, err error) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for i := range n {
			b := fmt.Appendf(nil, "record %d", i)
			if !yield(record.Entry{LSN: from + record.LSN(i), Term: 3, Sum: record.Sum(b), Bytes: b}, nil) {
				return
			}
		}
		if err != nil {
			yield(record.Entry{}, err)
		}
	}
}

func TestWhatLeftTheLogIsKept(t *testing.T) {
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	want := []topology.Kept{
		{Name: "00000001.entries", Why: "term 4 began at 7", First: 7, Last: 9, Records: 3},
		{Name: "00000002.entries", Why: "", First: 20, Last: 20, Records: 1},
	}
	for _, w := range want {
		kept, err := h.Sidelog().Keep(w.Why, tail(w.First, int(w.Records), nil))
		require.NoError(t, err)
		require.Equal(t, w, kept)
	}
	require.NoError(t, h.Close())

	s := open(t, disk).Sidelog()
	all, err := s.List()
	require.NoError(t, err)
	require.Equal(t, want, all)
	var got []record.LSN
	for e, err := range s.Entries("00000001.entries") {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("record %d", e.LSN-7), string(e.Bytes))
		require.Equal(t, uint64(3), e.Term)
		got = append(got, e.LSN)
	}
	require.Equal(t, []record.LSN{7, 8, 9}, got)
}

func TestNoEntriesMakeNoSideFile(t *testing.T) {
	s := open(t, vfs.NewMem()).Sidelog()
	kept, err := s.Keep("nothing", tail(1, 0, nil))
	require.NoError(t, err)
	require.Zero(t, kept)
	all, err := s.List()
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestATailThatCannotBeReadIsNotKept(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, disk).Sidelog()
	broken := errors.New("broken")
	_, err := s.Keep("x", tail(1, 2, broken))
	require.ErrorIs(t, err, broken)
	names, err := disk.List("data/a/aside")
	require.NoError(t, err)
	require.Empty(t, names)
}

func TestASideFileThatFailsToBeWrittenIsNotKept(t *testing.T) {
	for name, kind := range map[string]errorfs.OpKind{"write": errorfs.OpFileWrite, "sync": errorfs.OpFileSync, "rename": errorfs.OpRename} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			s := open(t, failing(disk, func(op errorfs.Op) error {
				if op.Kind == kind && strings.Contains(op.Path, "aside/") {
					return syscall.ENOSPC
				}
				return nil
			})).Sidelog()
			_, err := s.Keep("x", tail(1, 2, nil))
			require.ErrorIs(t, err, syscall.ENOSPC)
			all, err := s.List()
			require.NoError(t, err)
			require.Empty(t, all)
		})
	}
}

func TestASpoiltSideFileIsAnError(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, disk).Sidelog()
	_, err := s.Keep("x", tail(1, 9, nil))
	require.NoError(t, err)
	const path = "data/a/aside/00000001.entries"
	whole, err := disk.UnsafeGetFileDataBuffer(path)
	require.NoError(t, err)
	whole = append([]byte(nil), whole...)
	for at := range whole {
		b := append([]byte(nil), whole...)
		b[at] ^= 0x40
		write(t, disk, path, b)
		found := false
		for _, err := range s.Entries("00000001.entries") {
			found = found || err != nil
		}
		require.True(t, found, "byte %d", at)
	}
	for _, cut := range []int{0, 3, len(whole) / 2, len(whole) - 1} {
		write(t, disk, path, whole[:cut])
		_, err := s.List()
		require.Error(t, err, "cut to %d", cut)
	}
}

func TestOnlySideFilesAreRead(t *testing.T) {
	s := open(t, vfs.NewMem()).Sidelog()
	for _, name := range []string{"", "../identity", "1.entries", "000000001.entries", "00000001", "-0000001.entries"} {
		for _, err := range s.Entries(name) {
			require.Error(t, err, name)
		}
	}
}

func TestSideFilesHaveALimit(t *testing.T) {
	disk := vfs.NewMem()
	s := open(t, disk).Sidelog()
	require.NoError(t, disk.MkdirAll("data/a/aside", 0o700))
	for i := range SideFilesMax {
		write(t, disk, fmt.Sprintf("data/a/aside/%08d.entries", i+1), nil)
	}
	_, err := s.Keep("x", tail(1, 1, nil))
	require.ErrorIs(t, err, topology.ErrTooLarge)
}

func TestALongReasonIsCut(t *testing.T) {
	s := open(t, vfs.NewMem()).Sidelog()
	_, err := s.Keep(strings.Repeat("é", SideWhyBytesMax), tail(1, 1, nil))
	require.NoError(t, err)
	all, err := s.List()
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", SideWhyBytesMax/2), all[0].Why)
}

func TestNoCrashLeavesHalfASideFile(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		var moments []*vfs.MemFS
		var least []int
		done := 0
		disk := vfs.NewCrashableMem()
		watched := failing(disk, func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				moments = append(moments, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(random.IntN(101)), RNG: random}))
				least = append(least, done)
			}
			return nil
		})
		h, err := Open(options(watched, "data/a"))
		require.NoError(t, err)
		for i := range 3 {
			_, err := h.Sidelog().Keep("x", tail(record.LSN(10*i+1), 4, nil))
			require.NoError(t, err)
			done++
		}
		require.NoError(t, h.Close())
		for i, moment := range moments {
			again, err := Open(options(moment, "data/a"))
			require.NoError(t, err)
			all, err := again.Sidelog().List()
			require.NoError(t, err, "seed %d, moment %d", seed, i)
			require.GreaterOrEqual(t, len(all), least[i])
			for _, k := range all {
				n := 0
				for _, err := range again.Sidelog().Entries(k.Name) {
					require.NoError(t, err)
					n++
				}
				require.Equal(t, 4, n)
			}
			require.NoError(t, again.Close())
		}
	}
}

func TestWhatCanNotBeKeptIsNoted(t *testing.T) {
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	want := topology.Kept{Name: "00000001.entries", Why: "trimmed", First: 13, Last: 104}
	noted, err := h.Sidelog().Miss(want.Why, want.First, want.Last)
	require.NoError(t, err)
	require.Equal(t, want, noted)
	_, err = h.Sidelog().Keep("tail", tail(105, 2, nil))
	require.NoError(t, err)
	require.NoError(t, h.Close())

	s := open(t, disk).Sidelog()
	all, err := s.List()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, want, all[0])
	for range s.Entries(want.Name) {
		t.Fatal("it has no entries")
	}
}
