package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
)

// ErrInput is the ground of an error in what the demo was given: nothing was
// started, or nothing was written.
var ErrInput = errors.New("the demo cannot begin")

// filesMax bounds how many files one load takes.
const filesMax = 1 << 20

// file is one regular file of a tree: its path below the root, with slashes, is
// its key.
type file struct {
	key  string
	size int64
}

// tree is what a load reads: the regular files below a folder, by key. Links are
// not followed.
type tree struct {
	root  string
	files []file
	bytes int64
}

// listTree lists the regular files below dir. One that does not fit into a record
// is an error that names it, before anything is written: a demo that left files
// out would not show that they are all there.
func listTree(dir string, most int) (*tree, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: load: %w", ErrInput, err)
	}
	t := &tree{root: root}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if len(t.files) == most {
			return fmt.Errorf("%s: there are more than %d files", dir, most)
		}
		return t.add(path, d)
	})
	if err == nil && len(t.files) == 0 {
		err = fmt.Errorf("%s holds no regular file", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: load: %w", ErrInput, err)
	}
	slices.SortFunc(t.files, func(a, b file) int { return strings.Compare(a.key, b.key) })
	return t, nil
}

func (t *tree) add(path string, d fs.DirEntry) error {
	rel, err := filepath.Rel(t.root, path)
	if err != nil {
		return err
	}
	if rel == "." { // the root itself is a file
		return fmt.Errorf("%s is not a folder", path)
	}
	i, err := d.Info()
	if err != nil {
		return err
	}
	f := file{key: filepath.ToSlash(rel), size: i.Size()}
	switch {
	case len(f.key) > record.KeyBytesMax:
		return fmt.Errorf("%s: a path of %d bytes is more than a key may have, %d", path, len(f.key), record.KeyBytesMax)
	case f.size > record.ValueBytesMax, f.size+int64(len(f.key)) > record.BatchBytesMax:
		return fmt.Errorf("%s: %s are more than a value may have, %s", path, grid.Bytes(uint64(f.size)), grid.Bytes(record.ValueBytesMax))
	}
	t.files = append(t.files, f)
	t.bytes += f.size
	return nil
}

// read returns the contents of a file, which may have changed since it was listed.
func (t *tree) read(f file) ([]byte, error) {
	return os.ReadFile(filepath.Join(t.root, filepath.FromSlash(f.key)))
}

// contents reads all files as they are on the disk now.
func (t *tree) contents() (contents, error) {
	var c contents
	sum := newDigest()
	for _, f := range t.files {
		b, err := t.read(f)
		if err != nil {
			return c, err
		}
		sum.field([]byte(f.key))
		sum.field(b)
		c.files++
		c.bytes += int64(len(b))
	}
	c.sum = sum.String()
	return c, nil
}

// digest is a SHA-256 over fields, each with its length in front of it, so that
// no two sequences of fields have the same bytes.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) field(b []byte) {
	d.number(uint64(len(b)))
	_, _ = d.Write(b) // a hash never fails
}

func (d digest) number(n uint64) {
	_, _ = d.Write(binary.LittleEndian.AppendUint64(nil, n)) // a hash never fails
}

func (d digest) String() string { return hex.EncodeToString(d.Sum(nil)) }
