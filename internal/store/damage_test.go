package store

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// told is a closed store with tables, and what it holds.
func told(t *testing.T) (*crashfs.FS, map[string]string) {
	t.Helper()
	fs := crashfs.New()
	p := open(t, Options{FS: fs})
	for lsn := 1; lsn <= lifeEnd; lsn++ {
		require.NoError(t, p.Apply(record.LSN(lsn), lifeEdits(lsn)))
		if lsn%20 == 0 {
			_, err := p.Flush(t.Context())
			require.NoError(t, err)
		}
	}
	require.NoError(t, p.Close())
	return fs, lifeExpected("", lifeEnd)
}

func slurp(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return b
}

// readAll returns all that a store says it holds, or why it says nothing.
func readAll(fs vfs.FS) (map[string]string, error) {
	p, err := Open(small(Options{FS: fs}))
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if have, want, back := p.WentBack(); back {
		return nil, fmt.Errorf("it has %d, and had flushed %d", have, want)
	}
	snap, err := p.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	got := map[string]string{}
	for e, err := range snap.Scan(record.Cell{}, record.Cell{Table: 1 << 31}) {
		if err != nil {
			return nil, err
		}
		got[string(e.Key)+"/"+string(e.Field)] = string(e.State)
	}
	return got, nil
}

// places are offsets in a file at which a bit is flipped: its ends, and some
// evenly in between.
func places(size int) []int {
	at := map[int]bool{}
	for i := range 8 {
		at[i], at[size-1-i] = true, true
	}
	for i := range 24 {
		at[i*size/24] = true
	}
	delete(at, -1)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(at)), func(i int) bool { return i < 0 || i >= size })
}

func TestAFlippedBitAnywhereInAStoreIsNeverServed(t *testing.T) {
	fs, want := told(t)
	files := []string{dir + "/" + pointerName}
	for _, name := range list(t, fs, first) {
		files = append(files, first+"/"+name)
	}
	found := map[string]int{}
	for _, file := range files {
		original := slurp(t, fs, file)
		if len(original) == 0 {
			continue // markers say what they say by their names
		}
		for _, at := range places(len(original)) {
			image := fs.PowerCut()
			b := bytes.Clone(original)
			b[at] ^= 1 << (at % 8)
			writeFile(t, image, file, string(b))
			got, err := readAll(image)
			if err == nil {
				require.Equal(t, want, got, "%s, offset %d", file, at)
				continue
			}
			found[kindOf(file)]++
		}
	}
	require.Positive(t, found["sst"], found)
	require.Positive(t, found["MANIFEST"], found)
	require.Positive(t, found[pointerName], found)
}

func kindOf(file string) string {
	name := file[strings.LastIndexByte(file, '/')+1:]
	if kind, _, ok := strings.Cut(name, "-"); ok {
		return kind
	}
	_, ext, ok := strings.Cut(name, ".")
	if ok {
		return ext
	}
	return name
}

func TestEveryBitOfThePointerCounts(t *testing.T) {
	fs, _ := told(t)
	original := slurp(t, fs, dir+"/"+pointerName)
	for at := range original {
		for bit := range 8 {
			b := bytes.Clone(original)
			b[at] ^= 1 << bit
			_, err := decodePointer(b)
			require.Error(t, err, "offset %d, bit %d", at, bit)
		}
		_, err := decodePointer(original[:at])
		require.Error(t, err, "cut to %d", at)
	}
	_, err := decodePointer(append(bytes.Clone(original), '\n'))
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestFilesOfAStoreThatAreMissingOrExchangedAreNoticed(t *testing.T) {
	fs, want := told(t)
	tables := tables(t, fs, first)
	require.Greater(t, len(tables), 1)
	var manifest string // the newest one is in force
	for _, name := range list(t, fs, first) {
		if strings.HasPrefix(name, "MANIFEST-") {
			manifest = first + "/" + name
		}
	}
	for name, do := range map[string]func(*crashfs.FS){
		"a table removed":    func(fs *crashfs.FS) { require.NoError(t, fs.Remove(tables[0])) },
		"a table emptied":    func(fs *crashfs.FS) { writeFile(t, fs, tables[0], "") },
		"a table cut":        func(fs *crashfs.FS) { b := slurp(t, fs, tables[0]); writeFile(t, fs, tables[0], string(b[:len(b)/2])) },
		"tables exchanged":   func(fs *crashfs.FS) { swap(t, fs, tables[0], tables[1]) },
		"a manifest removed": func(fs *crashfs.FS) { require.NoError(t, fs.Remove(manifest)) },
		"a manifest cut":     func(fs *crashfs.FS) { writeFile(t, fs, manifest, string(slurp(t, fs, manifest)[:20])) },
		"a page of zeros in a table": func(fs *crashfs.FS) {
			b := slurp(t, fs, tables[0])
			clear(b[:min(4096, len(b))])
			writeFile(t, fs, tables[0], string(b))
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := fs.PowerCut()
			do(image)
			got, err := readAll(image)
			if err == nil {
				require.Equal(t, want, got)
				t.Fatal("it was not noticed")
			}
		})
	}
}

func swap(t *testing.T, fs vfs.FS, a, b string) {
	x, y := slurp(t, fs, a), slurp(t, fs, b)
	writeFile(t, fs, a, string(y))
	writeFile(t, fs, b, string(x))
}

// Whoever reads why a node does not start has to learn that its disk is to blame, and
// what to do.
func TestAStoreThatIsRefusedForItsDamageSaysWhatToDo(t *testing.T) {
	fs, _ := told(t)
	refused := map[string]int{}
	for _, name := range list(t, fs, first) {
		kind := kindOf(name)
		if kind != "sst" && kind != "MANIFEST" {
			continue
		}
		original := slurp(t, fs, first+"/"+name)
		for _, at := range places(len(original)) {
			image := fs.PowerCut()
			b := bytes.Clone(original)
			b[at] ^= 1 << (at % 8)
			writeFile(t, image, first+"/"+name, string(b))
			p, err := Open(small(Options{FS: image}))
			if err == nil {
				require.NoError(t, p.Close())
				continue
			}
			refused[kind]++
			require.ErrorIs(t, err, topology.ErrQuarantined, "%s, offset %d", name, at)
			require.ErrorContains(t, err, "start with an empty one")
		}
	}
	require.Positive(t, refused["sst"], refused)
	require.Positive(t, refused["MANIFEST"], refused)
}
