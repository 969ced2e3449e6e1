package ideal

import (
	"fmt"
	"os"
)

// FileBytesDefault is how long a log file is unless somebody says otherwise.
const FileBytesDefault = 128 << 20

// File is a log file that was zeroed beforehand and is written round and round:
// what passes its end begins again at its start. One goroutine uses it.
type File struct {
	f    *os.File
	size int64
	off  int64
}

// Create makes the file at path, writes zeros over size bytes and makes them
// durable. The size is a multiple of 1 MiB.
func Create(path string, size int64) (*File, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(zeros)) {
		if _, err := f.Write(zeros); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &File{f: f, size: size}, nil
}

// Append writes b behind what was written before and returns once it is durable.
func (f *File) Append(b []byte) error {
	if int64(len(b)) > f.size {
		return fmt.Errorf("a group of %d bytes is more than the file's %d", len(b), f.size)
	}
	if f.off+int64(len(b)) > f.size {
		f.off = 0
	}
	if _, err := f.f.WriteAt(b, f.off); err != nil {
		return err
	}
	f.off += int64(len(b))
	return flush(f.f)
}

// Close releases the file.
func (f *File) Close() error { return f.f.Close() }
