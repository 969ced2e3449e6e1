package store

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// The pointer is the file `current` beside the generations. It says in text
//
//	triad store 1
//	current store-000002
//	flushed 4711
//	sum 8f3a01bc
//
// which is the format, which generation is the store's contents, up to which
// position it is known to be durable, and the CRC-32C of the lines before. It is
// replaced as a whole by a rename, so which generation and how far change
// together. A generation that holds less than its pointer says has gone
// backwards: a copy was restored over it, or files were lost. An older reader
// refuses another format by the first line, which no format may change.
type pointer struct {
	generation uint64
	flushed    record.LSN
}

const (
	pointerName     = "current"
	pointerTempName = "current.tmp"
	pointerBytesMax = 4 << 10
)

func (p pointer) encode() []byte {
	b := fmt.Appendf(nil, "triad store %d\ncurrent %s\nflushed %d\n", storeFormat, generationName(p.generation), p.flushed)
	return fmt.Appendf(b, "sum %08x\n", record.Sum(b))
}

func decodePointer(b []byte) (pointer, error) {
	var (
		p      pointer
		format uint64
		name   string
		sum    uint32
	)
	if n, _ := fmt.Sscanf(string(b), "triad store %d\n", &format); n == 1 && format > storeFormat {
		return p, checkFormat(pointerName, format)
	}
	at := strings.LastIndex(string(b), "sum ")
	_, err := fmt.Sscanf(string(b), "triad store %d\ncurrent %s\nflushed %d\nsum %x\n", &format, &name, &p.flushed, &sum)
	generation, ok := parseGeneration(name)
	if err != nil || !ok || at < 0 || record.Sum(b[:at]) != sum {
		return pointer{}, fmt.Errorf("%s is damaged: %w", pointerName, topology.ErrMalformed)
	}
	p.generation = generation
	if string(p.encode()) != string(b) {
		return pointer{}, fmt.Errorf("%s is damaged: %w", pointerName, topology.ErrMalformed)
	}
	return p, nil
}

// readPointer returns the pointer in dir, false if there is none.
func readPointer(fs vfs.FS, dir string) (pointer, bool, error) {
	f, err := fs.Open(fs.PathJoin(dir, pointerName))
	if isNotExist(err) {
		return pointer{}, false, nil
	}
	if err != nil {
		return pointer{}, false, err
	}
	b, err := io.ReadAll(io.LimitReader(f, pointerBytesMax))
	if err := errors.Join(err, f.Close()); err != nil {
		return pointer{}, false, err
	}
	p, err := decodePointer(b)
	return p, err == nil, err
}

// writePointer replaces the pointer of a store, durably on return. After an error
// nobody knows which of the two a crash would bring back, unless it was not decided:
// then it is the old one.
func writePointer(o Options, p pointer) (decided bool, err error) {
	fs, temp := o.FS, o.FS.PathJoin(o.Dir, pointerTempName)
	err = o.space.with(func() error {
		f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if _, err = f.Write(p.encode()); err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return false, err
	}
	if err := fs.Rename(temp, fs.PathJoin(o.Dir, pointerName)); err != nil {
		return true, err
	}
	return true, syncDir(fs, o.Dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func isNotExist(err error) bool { return errors.Is(err, iofs.ErrNotExist) }

// syncAbove makes the names of dir, and of those above it, durable: whoever made
// them may have died before it did. One that may not be read, or that knows no
// sync, was not made by us.
func syncAbove(fs vfs.FS, dir string) error {
	for ; fs.PathDir(dir) != dir; dir = fs.PathDir(dir) {
		err := syncDir(fs, fs.PathDir(dir))
		if err != nil && !errors.Is(err, iofs.ErrPermission) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
			return err
		}
	}
	return nil
}
