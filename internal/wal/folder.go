package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names in a log's directory.
const (
	manifestName = "manifest"
	reserveName  = "reserve"
	segmentExt   = ".seg"
	spareExt     = ".spare"
	partExt      = ".tmp"
	damagedExt   = ".damaged"

	writeCategory vfs.DiskWriteCategory = "wal"
)

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentExt) }
func spareName(number uint64) string   { return fmt.Sprintf("%08x%s", number, spareExt) }

// numberOf reads the number in a name of that form, which has one spelling.
func numberOf(name, ext string, form func(uint64) string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ext)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && form(n) == name
}

// folder is a log's directory.
type folder struct {
	fs  vfs.FS
	dir string
}

func (d folder) path(name string) string { return d.fs.PathJoin(d.dir, name) }

// make makes the directory, and every one above it that is missing.
func (d folder) make() error { return d.fs.MkdirAll(d.dir, 0o700) }

// root makes the names of the directory, and of those above it, durable: whoever
// made them may have died before it did. One that may not be read was not made by
// us.
func (d folder) root() error {
	for p := d.dir; d.fs.PathDir(p) != p; p = d.fs.PathDir(p) {
		err := folder{fs: d.fs, dir: d.fs.PathDir(p)}.sync()
		if err != nil && !errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
			return err
		}
	}
	return nil
}

// sync makes names that were created, removed or changed durable (PW5).
func (d folder) sync() error {
	f, err := d.fs.OpenDir(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(syncAll(f), f.Close())
}

// edit opens an existing file, or makes a new one, for WriteAt.
func (d folder) edit(name string) (vfs.File, error) {
	return d.fs.OpenReadWrite(d.path(name), writeCategory)
}

func (d folder) open(name string) (vfs.File, error) { return d.fs.Open(d.path(name)) }

// remove removes a file that may be gone already.
func (d folder) remove(name string) error {
	if err := d.fs.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (d folder) rename(from, to string) error { return d.fs.Rename(d.path(from), d.path(to)) }

// read reads a whole file of at most most bytes.
func (d folder) read(name string, most int64) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		return b[:most], nil // whoever reads it finds that it is damaged
	}
	return b, err
}

// replace makes b the content of a file, atomically and durably. After an
// [*unsettledError] nobody knows whether it is; after any other it is not.
func (d folder) replace(name string, b []byte) error {
	part := name + partExt
	if err := d.remove(part); err != nil {
		return err
	}
	f, err := d.edit(part)
	if err != nil {
		return err
	}
	if err = writeAt(f, b, 0); err == nil {
		err = syncAll(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.rename(part, name); err != nil {
		return err
	}
	if err := d.sync(); err != nil {
		return &unsettledError{err}
	}
	return nil
}

// zeros makes a file of n durable zeros, in steps, so that the syncs of the log
// never wait for all of it.
func (d folder) zeros(name string, n int64) (vfs.File, error) {
	if err := d.remove(name); err != nil {
		return nil, err
	}
	f, err := d.edit(name)
	if err != nil {
		return nil, err
	}
	if err := zero(f, 0, n); err != nil {
		return nil, errors.Join(err, f.Close(), d.remove(name))
	}
	return f, nil
}

// zero writes zeros from one offset to another, durably.
func zero(f vfs.File, from, to int64) error {
	z := make([]byte, min(zeroStepBytes, max(to-from, 0)))
	for from < to {
		step := z[:min(int64(len(z)), to-from)]
		if err := writeAt(f, step, from); err != nil {
			return err
		}
		if from += int64(len(step)); from < to {
			if err := syncFile(f); err != nil {
				return err
			}
		}
	}
	return syncAll(f)
}

func writeAt(f vfs.File, b []byte, off int64) error {
	n, err := f.WriteAt(b, off)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// readAt reads what there is of b at off.
func readAt(f vfs.File, b []byte, off int64) (int, error) {
	n, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// syncFile makes what was written to a preallocated file durable: fdatasync,
// where there is one.
func syncFile(f vfs.File) error { return uninterrupted(f.SyncData) }

// syncAll makes a file durable with its length and all it needs to be found.
func syncAll(f vfs.File) error { return uninterrupted(f.Sync) }

// uninterrupted repeats a sync that a signal interrupted, which says nothing
// about the disk. No other error is ever tried again (PW4).
func uninterrupted(sync func() error) error {
	var err error
	for range interruptsMax {
		if err = sync(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
	return err
}
