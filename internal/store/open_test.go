package store

import (
	"encoding/binary"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const (
	dir    = "data/store"
	first  = dir + "/store-000001"
	second = dir + "/store-000002"
)

// filled is a file system with a closed store at position 3.
func filled(t *testing.T) *crashfs.FS {
	t.Helper()
	fs := crashfs.New()
	p := open(t, Options{FS: fs})
	require.NoError(t, p.Apply(3, []topology.Edit{put("a", "", "3")}))
	require.NoError(t, p.Close())
	return fs
}

// raw opens a generation past the store.
func raw(t *testing.T, fs vfs.FS, dir string, change func(*pebble.DB)) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, FormatMajorVersion: pebbleFormat, Logger: quiet{logger: quietLogger}})
	require.NoError(t, err)
	change(db)
	require.NoError(t, db.Flush())
	require.NoError(t, db.Close())
}

func writeFile(t *testing.T, fs vfs.FS, name, content string) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = io.WriteString(f, content)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func list(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	require.NoError(t, err)
	slices.Sort(names)
	return names
}

func TestOpenRefuses(t *testing.T) {
	cases := []struct {
		name  string
		spoil func(t *testing.T, fs *crashfs.FS)
		is    error
		says  string
	}{
		{"a newer format of the store", func(t *testing.T, fs *crashfs.FS) {
			raw(t, fs, first, func(db *pebble.DB) {
				require.NoError(t, db.Set(metaFormat, binary.BigEndian.AppendUint32(nil, storeFormat+1), pebble.Sync))
			})
		}, topology.ErrUnsupported, "store format 2, this version knows 1; upgrade this node"},
		{"a newer format of the pointer", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, dir+"/current", "triad store 2\nsomething else\n")
		}, topology.ErrUnsupported, "store format 2, this version knows 1; upgrade this node"},
		{"a newer format of Pebble that Pebble knows", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, first+"/marker.format-version.000099.022", "")
		}, topology.ErrUnsupported, "Pebble format 22, this version knows 21; upgrade this node"},
		{"a newer format of Pebble that it does not", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, first+"/marker.format-version.000099.999", "")
		}, topology.ErrUnsupported, "Pebble format 999"},
		{"a damaged pointer", func(t *testing.T, fs *crashfs.FS) {
			writeFile(t, fs, dir+"/current", "triad store 1\ncurrent store-000001\nflushed 3\nsum 00000000\n")
		}, topology.ErrMalformed, "current is damaged"},
		{"a pointer to a generation that is gone", func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.RemoveAll(first))
		}, os.ErrNotExist, first},
		{"a generation that is empty", func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.RemoveAll(first))
			require.NoError(t, fs.MkdirAll(first, 0o700))
		}, pebble.ErrDBDoesNotExist, first},
		{"a generation with a table missing", func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.Remove(tables(t, fs, first)[0]))
		}, os.ErrNotExist, "unknown to the objstorage provider"},
		{"data without a pointer", func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.Remove(dir+"/current"))
		}, nil, "at position 3 but no file current"},
		{"a later generation without a pointer", func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.Remove(dir+"/current"))
			require.NoError(t, fs.Rename(first, dir+"/store-000007"))
		}, nil, "store-000007 but no file current"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fs := filled(t)
			c.spoil(t, fs)
			before := list(t, fs, dir)
			for range 2 { // the first refusal changes nothing
				_, err := Open(small(Options{FS: fs}))
				require.ErrorContains(t, err, c.says)
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
				require.Equal(t, before, list(t, fs, dir))
			}
		})
	}
}

func TestOpenRefusesADirectoryInUse(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"in memory": vfs.NewMem(), "on disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			o := Options{FS: fs, Dir: t.TempDir()}
			p := open(t, o)
			_, err := Open(small(o))
			require.ErrorContains(t, err, "is in use")
			require.NoError(t, p.Close())
			require.NoError(t, open(t, o).Close())
		})
	}
}

func TestOpenRefusesAReadOnlyDirectory(t *testing.T) {
	d := newDisk(filled(t))
	d.on(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpMkdirAll && op.Kind != errorfs.OpFileClose {
			return syscall.EROFS
		}
		return nil
	})
	_, err := Open(small(Options{FS: d}))
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, dir+" cannot be written")
}

func TestOpenRefusesOptionsOutOfBounds(t *testing.T) {
	for _, o := range []Options{
		{},
		{Dir: "d", CacheBytes: -1},
		{Dir: "d", MemTableBytes: memTableBytesMin - 1},
		{Dir: "d", MemTableBytes: memTableBytesMax + 1},
	} {
		_, err := Open(o)
		require.Error(t, err, "%+v", o)
	}
}

func TestTheZeroOptionsWork(t *testing.T) {
	p, err := Open(Options{Dir: t.TempDir() + "/a/b"})
	require.NoError(t, err)
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1")}))
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "closing twice")
	require.ErrorIs(t, p.Apply(2, nil), topology.ErrClosed)
	_, err = p.Get(cell("a", ""))
	require.ErrorIs(t, err, topology.ErrClosed)
	_, err = p.Flush(t.Context())
	require.ErrorIs(t, err, topology.ErrClosed)
	_, err = p.Snapshot()
	require.ErrorIs(t, err, topology.ErrClosed)
	_, err = p.Stage("s")
	require.ErrorIs(t, err, topology.ErrClosed)
}

func TestThePinnedFormatIsWritten(t *testing.T) {
	fs := filled(t)
	d, err := pebble.Peek(first, fs)
	require.NoError(t, err)
	require.EqualValues(t, 21, d.FormatMajorVersion)
	require.LessOrEqual(t, pebbleFormat, pebble.FormatNewest)
}

func TestABeginningThatWasCutShortIsBegunAgain(t *testing.T) {
	fs := crashfs.New()
	require.NoError(t, fs.MkdirAll(first, 0o700))
	raw(t, fs, first, func(*pebble.DB) {})
	p := open(t, Options{FS: fs})
	require.Zero(t, p.Applied())
}

// copyDir copies the files of a directory.
func copyDir(t *testing.T, from *crashfs.FS, to vfs.FS, dir string) {
	t.Helper()
	require.NoError(t, to.RemoveAll(dir))
	ok, err := vfs.Clone(from, to, dir, dir, vfs.CloneSync)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestAStoreThatWentBackSaysSoUntilItHasCaughtUp(t *testing.T) {
	fs := filled(t)
	older := fs.PowerCut()
	p := open(t, Options{FS: fs})
	require.NoError(t, p.Apply(9, []topology.Edit{put("a", "", "9")}))
	_, err := p.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Close())

	copyDir(t, older, fs, first)
	requireBack := func(p *Pebble, haveWant record.LSN, yesWant bool) {
		t.Helper()
		have, want, yes := p.WentBack()
		require.Equal(t, yesWant, yes)
		require.Equal(t, haveWant, have)
		require.EqualValues(t, 9, want)
	}
	p = open(t, Options{FS: fs})
	requireBack(p, 3, true)
	require.NoError(t, p.Apply(5, []topology.Edit{put("a", "", "5")}))
	lsn, err := p.Flush(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 5, lsn)
	require.NoError(t, p.Close())

	p = open(t, Options{FS: fs}) // it has not forgotten while it catches up
	requireBack(p, 5, true)
	require.NoError(t, p.Apply(9, []topology.Edit{put("a", "", "9")}))
	requireBack(p, 9, false)
}

func TestAnInstallMakesUpForHavingGoneBack(t *testing.T) {
	fs := filled(t)
	older := fs.PowerCut()
	p := open(t, Options{FS: fs})
	require.NoError(t, p.Apply(9, nil))
	require.NoError(t, p.Close())
	copyDir(t, older, fs, first)
	p = open(t, Options{FS: fs})
	st, err := p.Stage("s")
	require.NoError(t, err)
	require.NoError(t, st.Install(6))
	_, _, yes := p.WentBack()
	require.False(t, yes)
	require.NoError(t, p.Close())
	p = open(t, Options{FS: fs})
	have, want, yes := p.WentBack()
	require.False(t, yes)
	require.Equal(t, [2]record.LSN{6, 6}, [2]record.LSN{have, want})
}

func TestOpenSweepsUpButKeepsWhatCanBeResumed(t *testing.T) {
	fs := filled(t)
	p := open(t, Options{FS: fs})
	st, err := p.Stage("s")
	require.NoError(t, err)
	require.NoError(t, st.Put([]byte("m"), nil))
	require.NoError(t, p.Close())
	for _, name := range []string{"store-000003", "store-000017", "store-1", "PLACE"} {
		require.NoError(t, fs.MkdirAll(dir+"/"+name, 0o700))
		writeFile(t, fs, dir+"/"+name+"/file", "x")
	}
	writeFile(t, fs, dir+"/current.tmp", "x")
	p = open(t, Options{FS: fs})
	require.Equal(t, []string{"LOCK", "PLACE", "current", "reserve", "store-000001", "store-000002", "store-1"}, list(t, fs, dir))
	st, err = p.Stage("s")
	require.NoError(t, err)
	require.Equal(t, "m", string(st.Resume()))
}

func TestWhatIsInTheWayOfAStageIsDiscarded(t *testing.T) {
	spoil := map[string]func(t *testing.T, fs *crashfs.FS){
		"not a store": func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.RemoveAll(second))
			require.NoError(t, fs.MkdirAll(second, 0o700))
			writeFile(t, fs, second+"/file", "x")
		},
		"half removed": func(t *testing.T, fs *crashfs.FS) {
			require.NoError(t, fs.Remove(tables(t, fs, second)[0]))
		},
		"without its manifest": func(t *testing.T, fs *crashfs.FS) {
			for _, name := range list(t, fs, second) {
				if strings.HasPrefix(name, "marker.manifest") {
					require.NoError(t, fs.Remove(second+"/"+name))
				}
			}
		},
		"of a newer format": func(t *testing.T, fs *crashfs.FS) {
			raw(t, fs, second, func(db *pebble.DB) {
				require.NoError(t, db.Set(metaFormat, binary.BigEndian.AppendUint32(nil, 9), pebble.Sync))
			})
		},
		"without a format": func(t *testing.T, fs *crashfs.FS) {
			raw(t, fs, second, func(db *pebble.DB) { require.NoError(t, db.Delete(metaFormat, pebble.Sync)) })
		},
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			fs := filled(t)
			p := open(t, Options{FS: fs})
			st, err := p.Stage("s")
			require.NoError(t, err)
			require.NoError(t, st.Put([]byte("m"), []topology.Edit{put("b", "", "x")}))
			require.NoError(t, p.Close())
			f(t, fs)
			p = open(t, Options{FS: fs})
			st, err = p.Stage("s")
			require.NoError(t, err)
			require.Nil(t, st.Resume())
			require.NoError(t, st.Install(4))
			b, err := p.Get(cell("b", ""))
			require.NoError(t, err)
			require.Nil(t, b)
		})
	}
}
