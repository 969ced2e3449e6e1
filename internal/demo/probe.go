package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownerWrite is the right without which a directory takes no new file. A user
// who may do anything is not stopped by it, so it is looked at as well.
const ownerWrite = 0o200

// probeBytes are enough to need a block of the disk.
const probeBytes = 4 << 10

// parts must stand in a node's directory.
var parts = []string{"identity", "log", "store"}

// writable finds out whether a node's directory still is what the node needs:
// its parts are there, everything in it may be written, and every folder takes a
// file and keeps it. A node meets a disk that takes no more only when it needs a
// new file, which in a tour of a few seconds may be never.
func writable(dir string) error {
	for _, p := range parts {
		if _, err := os.Lstat(filepath.Join(dir, p)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = entryWritable(path, d)
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil // a node at work makes files and removes them
		}
		return err
	})
}

func entryWritable(path string, d fs.DirEntry) error {
	if !d.IsDir() && !d.Type().IsRegular() {
		return nil
	}
	i, err := d.Info()
	if err != nil {
		return err
	}
	if i.Mode()&ownerWrite == 0 {
		return fmt.Errorf("%s is read-only (%v)", path, i.Mode())
	}
	if d.IsDir() {
		return takesFile(path)
	}
	return nil
}

// takesFile makes, syncs and removes a file. Its name is one that no part of a
// node looks at.
func takesFile(dir string) error {
	f, err := os.CreateTemp(dir, ".demo-*.probe")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}
