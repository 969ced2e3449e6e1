package crashfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SectorBytes is what a disk writes whole, unless the power fails within it.
const SectorBytes = 512

// Call is one call that changes something, or is about to.
type Call struct {
	N     int    // its number in the life of the file system, from 1
	Op    string // create, open, write, sync, syncto, syncdir, rename, link, reuse, remove, mkdir, preallocate
	Path  string // of a rename and a link, the new one; of an open file, the one it was opened by
	Nth   int    // how many calls of that Op and Path there were, this one included
	Off   int64  // of a write
	Bytes int    // of a write or a preallocation

	file *inode // of a write
	data []byte // of a write, valid while the call is under way
}

// Name is the last element of Path.
func (c Call) Name() string { return c.Path[strings.LastIndexByte(c.Path, '/')+1:] }

// Key tells a call from all others, and finds it again in another run of the
// same work, though other goroutines may be elsewhere by then.
func (c Call) Key() string { return fmt.Sprintf("%s %s #%d", c.Op, c.Path, c.Nth) }

func (c Call) String() string {
	if c.Op == "write" {
		return fmt.Sprintf("call %d, %s, %d bytes at %d", c.N, c.Key(), c.Bytes, c.Off)
	}
	return fmt.Sprintf("call %d, %s", c.N, c.Key())
}

// Short is an error with which a hook lets a write get as far as Bytes.
type Short struct {
	Bytes int
	Err   error
}

func (s *Short) Error() string { return s.Err.Error() }
func (s *Short) Unwrap() error { return s.Err }

// inode is a file or a directory as the disk knows it. What can be read of it
// stands in the file system in memory.
type inode struct {
	dir    bool
	synced []byte  // durable
	dirty  []write // since, oldest first
}

type write struct {
	off int64
	b   []byte
}

// FS is a file system. Its methods are safe for concurrent use; New makes one.
type FS struct {
	vfs.FS // what can be read
	mem    *vfs.MemFS

	still sync.RWMutex // held for reading over every change, for writing over a crash

	mu      sync.Mutex // a leaf
	before  func(Call) error
	after   func(Call)
	n       int
	nth     map[string]int // calls by Op and Path
	calls   []Call
	names   names
	durable names // what names would be after a crash
}

var _ vfs.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	mem := vfs.NewMem()
	return &FS{FS: mem, mem: mem, nth: map[string]int{}, names: names{}, durable: names{}}
}

// Mem is what can be read, for those who want to damage it past the disk.
func (f *FS) Mem() *vfs.MemFS { return f.mem }

// Unwrap is [vfs.FS.Unwrap].
func (f *FS) Unwrap() vfs.FS { return f.mem }

// Before sets what is called before every change, on the goroutine that makes
// it: it may wait, and its error, if there is one, is the call's. Nil for nothing.
func (f *FS) Before(hook func(Call) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

// After sets what is called after every change that succeeded.
func (f *FS) After(hook func(Call)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = hook
}

// Flip changes one bit of a file past everybody who has it open, durable or not:
// the disk has changed, and nobody has written. It is false where the file has no
// such byte.
func (f *FS) Flip(path string, at int64, bit uint8) bool {
	f.still.Lock()
	defer f.still.Unlock()
	f.mu.Lock()
	i := f.names[clean(path)].i
	f.mu.Unlock()
	if i == nil || i.dir {
		return false
	}
	file, err := f.mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false
	}
	defer func() { must(file.Close()) }()
	var b [1]byte
	if n, _ := file.ReadAt(b[:], at); n == 0 {
		return false
	}
	b[0] ^= 1 << bit
	must2(file.WriteAt(b[:], at))
	f.mu.Lock()
	defer f.mu.Unlock()
	i.synced = flipped(i.synced, at, bit)
	for k, w := range i.dirty {
		i.dirty[k].b = flipped(w.b, at-w.off, bit)
	}
	return true
}

// flipped returns b with one bit changed, if b has it; b itself, which a file
// system from before a crash may share, stays as it is.
func flipped(b []byte, at int64, bit uint8) []byte {
	if at < 0 || at >= int64(len(b)) {
		return b
	}
	b = slices.Clone(b)
	b[at] ^= 1 << bit
	return b
}

// Calls returns the changes that were attempted since the last call of it.
func (f *FS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	cs := f.calls
	f.calls = nil
	return cs
}

// Dirty reports whether a file has bytes that no sync has covered.
func (f *FS) Dirty(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.names[clean(path)].i
	return i != nil && len(i.dirty) > 0
}

// call runs one change with the hooks around it. The change notes what becomes
// of the disk in note, under the mutex, if it succeeded.
func (f *FS) call(c Call, change func() error, note func()) error {
	c.Path = clean(c.Path)
	f.mu.Lock()
	f.n++
	key := c.Op + " " + c.Path
	f.nth[key]++
	c.N, c.Nth = f.n, f.nth[key]
	kept := c
	kept.file, kept.data = nil, nil
	f.calls = append(f.calls, kept)
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(c); err != nil {
			f.refused(c, err)
			return err
		}
	}
	f.still.RLock()
	err := change()
	if err == nil && note != nil {
		f.mu.Lock()
		note()
		f.mu.Unlock()
	}
	f.still.RUnlock()
	if err == nil && after != nil {
		after(kept)
	}
	return err
}

// refused does what a call does that fails: a sync drops what it had to write (D3).
func (f *FS) refused(c Call, err error) {
	if c.Op != "sync" && c.Op != "syncto" || c.file == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.file.dirty = nil
}

// Create is [vfs.FS.Create].
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	i := &inode{}
	err = f.call(Call{Op: "create", Path: name}, func() error {
		file, err = f.FS.Create(name, c)
		return err
	}, func() { f.names.enter(name, i) })
	return f.opened(file, name, i, err)
}

// OpenReadWrite is [vfs.FS.OpenReadWrite]; it is a create where there is no file.
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	f.mu.Lock()
	i := f.names[clean(name)].i
	f.mu.Unlock()
	op := "open"
	if i == nil {
		i, op = &inode{}, "create"
	}
	err = f.call(Call{Op: op, Path: name}, func() error {
		file, err = f.FS.OpenReadWrite(name, c, opts...)
		return err
	}, func() { f.names.enter(name, i) })
	return f.opened(file, name, i, err)
}

func (f *FS) opened(file vfs.File, name string, i *inode, err error) (vfs.File, error) {
	if err != nil {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
		return nil, err
	}
	return &handle{File: file, fs: f, path: clean(name), inode: i}, nil
}

// OpenDir is [vfs.FS.OpenDir].
func (f *FS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &handle{File: file, fs: f, path: clean(name), inode: &inode{dir: true}}, nil
}

// Remove is [vfs.FS.Remove].
func (f *FS) Remove(name string) error {
	return f.call(Call{Op: "remove", Path: name}, func() error { return f.FS.Remove(name) },
		func() { f.names.drop(name) })
}

// RemoveAll is [vfs.FS.RemoveAll]: one call, of which a crash may keep a part.
func (f *FS) RemoveAll(name string) error {
	return f.call(Call{Op: "remove", Path: name}, func() error { return f.FS.RemoveAll(name) },
		func() { f.names.drop(name) })
}

// Rename is [vfs.FS.Rename], of files.
func (f *FS) Rename(from, to string) error {
	return f.call(Call{Op: "rename", Path: to}, func() error { return f.FS.Rename(from, to) },
		func() { f.names.move(from, to) })
}

// ReuseForWrite is [vfs.FS.ReuseForWrite].
func (f *FS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.call(Call{Op: "reuse", Path: to}, func() error {
		file, err = f.FS.ReuseForWrite(from, to, c)
		return err
	}, func() { f.names.move(from, to) })
	f.mu.Lock()
	i := f.names[clean(to)].i
	f.mu.Unlock()
	return f.opened(file, to, i, err)
}

// Link is [vfs.FS.Link].
func (f *FS) Link(from, to string) error {
	return f.call(Call{Op: "link", Path: to}, func() error { return f.FS.Link(from, to) },
		func() { f.names.enter(to, f.names[clean(from)].i) })
}

// MkdirAll is [vfs.FS.MkdirAll].
func (f *FS) MkdirAll(name string, perm os.FileMode) error {
	return f.call(Call{Op: "mkdir", Path: name}, func() error { return f.FS.MkdirAll(name, perm) },
		func() { f.names.mkdir(name) })
}
