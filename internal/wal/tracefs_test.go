package wal

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// traceFS is a file system that tells what was done to it, knows what is not
// durable, and can be made to wait or to fail. A crash of it tears writes at
// every sector, where vfs.MemFS knows blocks of 4096 bytes only.
type traceFS struct {
	vfs.FS
	mem *vfs.MemFS

	mu      sync.Mutex
	after   func(op, name string)       // after every change; may be nil
	before  func(op, name string) error // before every change; may wait, and fail it
	watch   func(name string, off int64, n int)
	pending map[string][]write // what was written and not synced, by inode
	names   map[string]string  // the inode of a name, by its first name
	next    int
	trace   []string
}

type write struct {
	off int64
	b   []byte
}

const sectorBytes = 512

func newTraceFS(mem *vfs.MemFS) *traceFS {
	return &traceFS{FS: mem, mem: mem, pending: map[string][]write{}, names: map[string]string{}}
}

// intercept sets what is asked before every change.
func (f *traceFS) intercept(before func(op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// do runs one change with the hooks around it.
func (f *traceFS) do(op, name string, change func() error) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(op, f.PathBase(name)); err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.trace = append(f.trace, op+" "+f.PathBase(name))
	f.mu.Unlock()
	if err := change(); err != nil {
		return err
	}
	if after != nil {
		after(op, f.PathBase(name))
	}
	return nil
}

func (f *traceFS) inode(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.names[name]; !ok {
		f.next++
		f.names[name] = fmt.Sprint(f.next)
	}
	return f.names[name]
}

// crash returns what a power failure leaves: what was synced, some of the
// directory's changes, and any of the sectors of what was not synced.
func (f *traceFS) crash(rng *rand.Rand) *vfs.MemFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	percent := []int{0, 20, 50, 80, 100}[rng.IntN(5)]
	image := f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	for name, inode := range f.names {
		if _, err := image.Stat(name); err != nil {
			continue
		}
		file, err := image.OpenReadWrite(name, writeCategory)
		if err != nil {
			panic(err)
		}
		for _, w := range f.pending[inode] {
			tear(file, w, percent, rng)
		}
		if err := file.Sync(); err != nil {
			panic(err)
		}
		_ = file.Close()
	}
	return image
}

// tear applies some sectors of a write that was not synced.
func tear(file vfs.File, w write, percent int, rng *rand.Rand) {
	for at := w.off; at < w.off+int64(len(w.b)); {
		to := min((at/sectorBytes+1)*sectorBytes, w.off+int64(len(w.b)))
		if stat, err := file.Stat(); err == nil && to <= stat.Size() && rng.IntN(100) < percent {
			if _, err := file.WriteAt(w.b[at-w.off:to-w.off], at); err != nil {
				panic(err)
			}
		}
		at = to
	}
}

// dirty reports whether a file has writes that no sync has covered.
func (f *traceFS) dirty(name string) bool {
	inode := f.inode(f.PathJoin(testDir, name))
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pending[inode]) > 0
}

// traced returns what was done since the last call.
func (f *traceFS) traced() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.trace
	f.trace = nil
	return t
}

func (f *traceFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.do("open", name, func() error {
		file, err = f.FS.OpenReadWrite(name, c, opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &traceFile{File: file, fs: f, name: name, inode: f.inode(name)}, nil
}

func (f *traceFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &traceFile{File: file, fs: f, name: name, inode: "dir " + name}, nil
}

func (f *traceFS) Remove(name string) error {
	return f.do("remove", name, func() error {
		if err := f.FS.Remove(name); err != nil {
			return err
		}
		f.mu.Lock()
		delete(f.names, name)
		f.mu.Unlock()
		return nil
	})
}

func (f *traceFS) Rename(from, to string) error {
	inode := f.inode(from)
	return f.do("rename", to, func() error {
		if err := f.FS.Rename(from, to); err != nil {
			return err
		}
		f.mu.Lock()
		delete(f.names, from)
		f.names[to] = inode
		f.mu.Unlock()
		return nil
	})
}

type traceFile struct {
	vfs.File
	fs    *traceFS
	name  string
	inode string
}

func (f *traceFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.fs.do("write", f.name, func() error {
		f.fs.mu.Lock()
		f.fs.pending[f.inode] = append(f.fs.pending[f.inode], write{off: off, b: append([]byte(nil), b...)})
		watch := f.fs.watch
		f.fs.mu.Unlock()
		if watch != nil {
			watch(f.fs.PathBase(f.name), off, len(b))
		}
		n, err = f.File.WriteAt(b, off)
		return err
	})
	return n, err
}

func (f *traceFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *traceFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *traceFile) sync(sync func() error) error {
	return f.fs.do("sync", f.name, func() error {
		if err := sync(); err != nil {
			return err
		}
		f.fs.mu.Lock()
		delete(f.fs.pending, f.inode)
		f.fs.mu.Unlock()
		return nil
	})
}

func TestTraceFSTearsOnlyWhatWasNotSynced(t *testing.T) {
	fs := newTraceFS(vfs.NewCrashableMem())
	require.NoError(t, fs.MkdirAll(testDir, 0o700))
	d := folder{fs: fs, dir: testDir}
	f, err := d.edit("x")
	require.NoError(t, err)
	synced := make([]byte, 4*sectorBytes)
	for i := range synced {
		synced[i] = 1
	}
	require.NoError(t, writeAt(f, synced, 0))
	require.NoError(t, syncAll(f))
	require.NoError(t, d.sync())
	root, err := fs.OpenDir("/")
	require.NoError(t, err)
	require.NoError(t, root.Sync())
	later := make([]byte, 2*sectorBytes)
	for i := range later {
		later[i] = 2
	}
	require.NoError(t, writeAt(f, later, sectorBytes))
	require.True(t, fs.dirty("x"))
	seen := map[string]bool{}
	for seed := range uint64(200) {
		b, err := folder{fs: fs.crash(rand.New(rand.NewPCG(seed, 0))), dir: testDir}.read("x", 1<<20)
		require.NoError(t, err)
		require.Equal(t, synced[:sectorBytes], b[:sectorBytes])
		require.Equal(t, synced[:sectorBytes], b[3*sectorBytes:])
		seen[fmt.Sprint(b[sectorBytes], b[2*sectorBytes])] = true
	}
	require.Len(t, seen, 4)
}
