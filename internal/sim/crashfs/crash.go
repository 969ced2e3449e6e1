package crashfs

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Survival says what a crash leaves of what was not durable.
type Survival uint8

const (
	Killed  Survival = iota // only the process died: all of it, and it is as durable as it was
	Nothing                 // the power failed: none of it
	Sectors                 // the power failed: any sectors, any names
	Torn                    // the same, and a part of the write under way, that ends anywhere
)

// Survivals are all of them.
var Survivals = []Survival{Killed, Nothing, Sectors, Torn}

func (s Survival) String() string { return [...]string{"killed", "nothing", "sectors", "torn"}[s] }

// Crash returns the file system that is found after a crash at this moment, or
// before the call under, if that is the call whose hook runs; f goes on. The
// source may be nil for Killed and Nothing.
func (f *FS) Crash(s Survival, rng *rand.Rand, under Call) *FS {
	f.still.Lock()
	defer f.still.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if s == Killed {
		return f.killed()
	}
	percent := 0
	if s != Nothing {
		percent = []int{10, 50, 90, 100}[rng.IntN(4)]
	}
	to := New()
	kept := map[string]*inode{}
	made := map[*inode]*inode{} // a file that has two names is one
	paths := f.paths()
	changed := f.survivingNames(paths, percent, rng)
	for _, path := range paths {
		e := f.durable[path]
		if changed[path] {
			e = f.names[path]
		}
		if e.i == nil || e.up != kept[above(path)] {
			continue // the name is lost, or the directory it was in
		}
		kept[path] = e.i
		if made[e.i] == nil {
			made[e.i] = e.i.survivor(percent, s, rng, under)
		}
		to.names.enter(path, made[e.i])
		to.show(path, made[e.i].synced)
	}
	to.durable = maps.Clone(to.names)
	return to
}

// paths are all names, durable or not, a directory before what is in it.
func (f *FS) paths() []string {
	all := maps.Clone(f.durable)
	maps.Copy(all, f.names)
	return slices.Sorted(maps.Keys(all))
}

// survivingNames draws which names show what was done to them and was not
// durable. A file that was renamed keeps one of its names at least: the old one
// goes only where the new one comes.
func (f *FS) survivingNames(paths []string, percent int, rng *rand.Rand) map[string]bool {
	changed, moved := map[string]bool{}, map[*inode]string{}
	for _, path := range paths {
		if now := f.names[path]; now != f.durable[path] {
			changed[path] = percent > 0 && rng.IntN(100) < percent
			if now.i != nil {
				moved[now.i] = path
			}
		}
	}
	for _, path := range paths {
		if to, ok := moved[f.durable[path].i]; ok && to != path && !changed[to] {
			changed[path] = false
		}
	}
	return changed
}

// survivor is what a power failure leaves of a file.
func (i *inode) survivor(percent int, s Survival, rng *rand.Rand, under Call) *inode {
	left := &inode{dir: i.dir, synced: slices.Clone(i.synced)}
	for _, w := range i.dirty {
		for at := 0; at < len(w.b); {
			to := min(at+SectorBytes-int(w.off+int64(at))%SectorBytes, len(w.b))
			if percent > 0 && rng.IntN(100) < percent {
				left.synced = over(left.synced, w.off+int64(at), w.b[at:to])
			}
			at = to
		}
	}
	if s == Torn && i == under.file && len(under.data) > 0 {
		left.synced = over(left.synced, under.Off, under.data[:rng.IntN(len(under.data)+1)])
	}
	return left
}

// show makes a name readable.
func (f *FS) show(path string, data []byte) {
	if f.names[path].i.dir {
		must(f.mem.MkdirAll(path, 0o700))
		return
	}
	file := must2(f.mem.Create(path, vfs.WriteCategoryUnspecified))
	must2(file.Write(slices.Clone(data)))
	must(file.Close())
}

// killed is f without whoever had its files open.
func (f *FS) killed() *FS {
	to := New()
	made := map[*inode]*inode{nil: nil}
	copied := func(i *inode) *inode {
		if made[i] == nil && i != nil {
			made[i] = &inode{dir: i.dir, synced: slices.Clone(i.synced), dirty: slices.Clone(i.dirty)}
		}
		return made[i]
	}
	for _, path := range f.paths() {
		if e := f.durable[path]; e.i != nil {
			to.durable[path] = entry{i: copied(e.i), up: copied(e.up)}
		}
		e := f.names[path]
		if e.i == nil {
			continue
		}
		to.names[path] = entry{i: copied(e.i), up: copied(e.up)}
		var data []byte
		if !e.i.dir {
			file := must2(f.mem.Open(path))
			data = must2(io.ReadAll(file))
			must(file.Close())
		}
		to.show(path, data)
	}
	return to
}

// must holds what cannot fail in memory.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("crashfs: %v", err))
	}
}

func must2[T any](v T, err error) T {
	must(err)
	return v
}

// PowerCut is a crash that leaves nothing but what is durable.
func (f *FS) PowerCut() *FS { return f.Crash(Nothing, nil, Call{}) }
