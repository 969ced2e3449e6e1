package home

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// Every file of a home but LOCK is one sealed body:
//
//	 0  8  magic, which says what the body is
//	 8  4  length of the body, little endian
//	12  4  CRC-32C of the body
//	16  n  the body, a msgpack array that begins with its format number
//
// What follows the body is left over from a longer one and means nothing. A
// reader that meets a format it does not know refuses; the seal stays as it is
// in every format, so that a newer body is told from a broken one.
const sealBytes = 16

const (
	magicIdentity = "triad.id"
	magicPlace    = "triad.pl"
	magicDocument = "triad.st"
)

// bodyBytesMax bounds what is read of any file.
const bodyBytesMax = DocumentBytesMax + 64<<10

// errSeal says that a file holds no whole body of its kind.
var errSeal = errors.New("not whole")

func seal(magic string, body []byte) []byte {
	b := make([]byte, 0, sealBytes+len(body))
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, record.Sum(body))
	return append(b, body...)
}

func unseal(magic string, b []byte) ([]byte, error) {
	if len(b) < sealBytes || string(b[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q", errSeal, magic)
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if uint64(n) > uint64(len(b)-sealBytes) {
		return nil, fmt.Errorf("%w: %d bytes claimed, %d there", errSeal, n, len(b)-sealBytes)
	}
	body := b[sealBytes : sealBytes+int(n)]
	if record.Sum(body) != binary.LittleEndian.Uint32(b[12:]) {
		return nil, fmt.Errorf("%w: its sum does not match", errSeal)
	}
	return body, nil
}

// newerError says that a body's format is beyond what this version knows.
type newerError struct{ found, known uint64 }

func (e *newerError) Error() string {
	return fmt.Sprintf("format %d, this version knows %d", e.found, e.known)
}

// readBody returns a cursor behind the format of a body of so many fields.
func readBody(b []byte, format uint64, fields int) (pack.Reader, error) {
	r := pack.NewReader(b)
	n := r.Array()
	switch f := r.Uint(); {
	case r.Err() == nil && f > format:
		return r, &newerError{found: f, known: format}
	case f == 0:
		r.Fail("format 0")
	}
	if n != fields {
		r.Fail(fmt.Sprintf("%d fields expected, found %d", fields, n))
	}
	return r, r.Err()
}

// readSealed returns the body of a file. A file that is not there is
// fs.ErrNotExist, one that holds no whole body errSeal.
func readSealed(disk vfs.FS, path, magic string) ([]byte, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, sealBytes+bodyBytesMax+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return unseal(magic, b)
}

// replace makes b the durable contents of dir/name in one step: whoever looks,
// also after a crash, finds the old contents or the new.
func replace(disk vfs.FS, dir, name string, b []byte) error {
	temporary := disk.PathJoin(dir, name+temporarySuffix)
	f, err := disk.Create(temporary, writeCategory)
	if err != nil {
		return err
	}
	if err := writeSync(f, b); err != nil {
		return err
	}
	if err := disk.Rename(temporary, disk.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(disk, dir)
}

// syncError is a sync that failed. The cache may now show what the disk does
// not hold, so there is nothing to try again, whatever the reason (PW4).
type syncError struct{ err error }

func (e *syncError) Error() string { return "sync: " + e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// writeSync writes b at the start of f, syncs and closes it.
func writeSync(f vfs.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	if err == nil {
		err = syncFile(f)
	}
	return errors.Join(err, f.Close())
}

func syncDir(disk vfs.FS, dir string) error {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncFile(d), d.Close())
}

func syncFile(f vfs.File) error {
	if err := f.Sync(); err != nil {
		return &syncError{err}
	}
	return nil
}

// makeDir makes dir and what is missing above it, each name durable in the
// directory above (PW5).
func makeDir(disk vfs.FS, dir string) error {
	var missing []string
	for at := dir; ; at = disk.PathDir(at) {
		_, err := disk.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || disk.PathDir(at) == at {
			return err
		}
		missing = append(missing, at)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := disk.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for _, m := range missing {
		if err := syncDir(disk, disk.PathDir(m)); err != nil {
			return err
		}
	}
	return nil
}

// settleNames makes the names in dir durable, and if above is set its own and
// those of the directories it is in: whoever made them may have died before it
// did. A directory above that may not be read, or that knows no sync, was not
// made by us.
func settleNames(disk vfs.FS, dir string, above bool) error {
	err := syncDir(disk, dir)
	for ; err == nil && above && disk.PathDir(dir) != dir; dir = disk.PathDir(dir) {
		err = syncDir(disk, disk.PathDir(dir))
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
			err = nil
		}
	}
	return err
}
