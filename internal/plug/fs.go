package plug

import (
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS plugs the operating system's file system in.
func (p *Plug) FS() vfs.FS { return fileSystem{FS: vfs.Default, plug: p} }

// fileSystem refuses every change once the plug was pulled. Reading harms nobody.
type fileSystem struct {
	vfs.FS
	plug *Plug
}

func (f fileSystem) Unwrap() vfs.FS { return f.FS }

func (f fileSystem) file(open func() (vfs.File, error)) (vfs.File, error) {
	if err := f.plug.pass(); err != nil {
		return nil, err
	}
	opened, err := open()
	if err != nil {
		return nil, err
	}
	return file{File: opened, plug: f.plug}, nil
}

func (f fileSystem) change(do func() error) error {
	if err := f.plug.pass(); err != nil {
		return err
	}
	return do()
}

func (f fileSystem) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f fileSystem) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f fileSystem) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f fileSystem) OpenDir(name string) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f fileSystem) Link(from, to string) error {
	return f.change(func() error { return f.FS.Link(from, to) })
}

func (f fileSystem) Remove(name string) error {
	return f.change(func() error { return f.FS.Remove(name) })
}

func (f fileSystem) RemoveAll(name string) error {
	return f.change(func() error { return f.FS.RemoveAll(name) })
}

func (f fileSystem) Rename(from, to string) error {
	return f.change(func() error { return f.FS.Rename(from, to) })
}

func (f fileSystem) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm) })
}

type file struct {
	vfs.File
	plug *Plug
}

func (f file) Write(b []byte) (int, error) {
	if err := f.plug.pass(); err != nil {
		return 0, err
	}
	n, err := f.File.Write(b)
	f.plug.disk.Add(uint64(n))
	return n, err
}

func (f file) WriteAt(b []byte, at int64) (int, error) {
	if err := f.plug.pass(); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(b, at)
	f.plug.disk.Add(uint64(n))
	return n, err
}

// sync waits as long as the disk takes longer, and then for what it is to do.
func (f file) sync(do func() error) error {
	if err := f.plug.pass(); err != nil {
		return err
	}
	began := time.Now()
	late(&f.plug.syncLate)
	f.plug.syncs.Add(1)
	err := do()
	f.plug.syncTime.Add(int64(time.Since(began)))
	return err
}

func (f file) Sync() error { return f.sync(f.File.Sync) }

func (f file) SyncData() error { return f.sync(f.File.SyncData) }

func (f file) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f file) Preallocate(at, length int64) error {
	if err := f.plug.pass(); err != nil {
		return err
	}
	return f.File.Preallocate(at, length)
}
