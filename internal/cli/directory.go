package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// What stands in a node's data directory.
const (
	identityFile = "identity"
	lockFile     = "LOCK"
	logFolder    = "log"
	manifestFile = "manifest" // in the folder of a log
)

// logOf returns the folder of the log that dir names: itself, or that of the node
// whose data directory it is, which nobody opens until release is called.
func logOf(dir string) (folder string, release func() error, err error) {
	nothing := func() error { return nil }
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		home := filepath.Dir(filepath.Clean(dir))
		if filepath.Base(filepath.Clean(dir)) == logFolder && isHome(home) {
			release, err = hold(home)
			return dir, release, err
		}
		return dir, nothing, nil // a copy of a log alone
	}
	if !isHome(dir) {
		return "", nothing, noNode(dir)
	}
	release, err = hold(dir)
	return filepath.Join(dir, logFolder), release, err
}

func isHome(dir string) bool {
	i, err := os.Stat(filepath.Join(dir, identityFile))
	return err == nil && i.Mode().IsRegular()
}

// noNode says what is wrong with a directory that is no node's.
func noNode(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return usagef("%w", err)
	}
	return usagef("%s is neither a node's data directory nor the folder of a log", dir)
}

// hold takes the lock of a data directory. Where nothing can be written nobody
// else can take it either.
func hold(dir string) (release func() error, err error) {
	var l io.Closer
	path := filepath.Join(dir, lockFile)
	l, err = vfs.Default.Lock(path)
	var made *fs.PathError
	switch {
	case err == nil:
		return l.Close, nil
	case errors.As(err, &made) && made.Path == path:
		return func() error { return nil }, nil
	}
	return nil, fmt.Errorf("%w: a process has %s open (%w); stop that node, or give a copy of the directory", topology.ErrUnavailable, dir, err)
}
