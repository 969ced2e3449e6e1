package crashfs

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// handle is an open file or directory.
type handle struct {
	vfs.File
	fs    *FS
	path  string // it was opened by
	inode *inode
	pos   int64 // of the next Write
}

func (h *handle) Write(b []byte) (n int, err error) {
	n, err = h.write(b, h.pos, func(b []byte) (int, error) { return h.File.Write(b) })
	h.pos += int64(n)
	return n, err
}

func (h *handle) WriteAt(b []byte, off int64) (n int, err error) {
	if off == h.pos { // the file in memory grows much faster that way, but may spoil what it is given
		return h.Write(slices.Clone(b))
	}
	return h.write(b, off, func(b []byte) (int, error) { return h.File.WriteAt(b, off) })
}

func (h *handle) write(b []byte, off int64, change func([]byte) (int, error)) (n int, err error) {
	kept := append([]byte(nil), b...)
	c := Call{Op: "write", Path: h.path, Off: off, Bytes: len(b), file: h.inode, data: kept}
	err = h.fs.call(c, func() error {
		n, err = change(b)
		return err
	}, func() { h.inode.dirty = append(h.inode.dirty, write{off: off, b: kept}) })
	var short *Short
	if errors.As(err, &short) {
		return h.part(kept[:min(short.Bytes, len(kept))], off, change, err)
	}
	return n, err
}

// part is the write that comes to an end before its end.
func (h *handle) part(b []byte, off int64, change func([]byte) (int, error), why error) (int, error) {
	h.fs.still.RLock()
	defer h.fs.still.RUnlock()
	n, err := change(b)
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.inode.dirty = append(h.inode.dirty, write{off: off, b: b[:n]})
	return n, errors.Join(why, err)
}

func (h *handle) Sync() error     { return h.sync(h.File.Sync) }
func (h *handle) SyncData() error { return h.sync(h.File.SyncData) }

func (h *handle) sync(sync func() error) error {
	if h.inode.dir {
		return h.fs.call(Call{Op: "syncdir", Path: h.path}, sync, func() { h.fs.durable.settle(h.path, h.fs.names) })
	}
	h.fs.mu.Lock()
	covers := len(h.inode.dirty) // not what is written while it runs
	h.fs.mu.Unlock()
	return h.fs.call(Call{Op: "sync", Path: h.path, file: h.inode}, sync, func() {
		covers = min(covers, len(h.inode.dirty))
		for _, w := range h.inode.dirty[:covers] {
			h.inode.synced = over(h.inode.synced, w.off, w.b)
		}
		h.inode.dirty = append([]write(nil), h.inode.dirty[covers:]...)
	})
}

// over writes b at off.
func over(data []byte, off int64, b []byte) []byte {
	if end := int(off) + len(b); end > len(data) {
		data = append(data, make([]byte, end-len(data))...)
	}
	copy(data[off:], b)
	return data
}

// SyncTo promises nothing.
func (h *handle) SyncTo(n int64) (full bool, err error) {
	err = h.fs.call(Call{Op: "syncto", Path: h.path, file: h.inode}, func() error {
		full, err = h.File.SyncTo(n)
		return err
	}, nil)
	return full, err
}

// Preallocate is a call that may fail, and changes nothing that a crash shows.
func (h *handle) Preallocate(off, n int64) error {
	return h.fs.call(Call{Op: "preallocate", Path: h.path, Off: off, Bytes: int(n)}, func() error { return h.File.Preallocate(off, n) }, nil)
}
