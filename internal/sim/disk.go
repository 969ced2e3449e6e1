package sim

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// Disk is a machine's disk: a file system that loses what was not synced when
// the power fails, and fails, fills up, damages and dawdles when it is told to.
type Disk struct {
	s  *Sim
	fs *crashfs.FS

	gone    *crashfs.FS // what is found after the power failed under a call; nil while it did not
	cutIn   int         // calls until the power fails; 0 for never
	survive crashfs.Survival
	failing int  // syncs that are to fail
	full    bool // no file is made, and none grows
	slow    int  // how many times slower than it was
	sync    time.Duration
}

var errPower = errors.New("the power failed")

func newDisk(s *Sim) *Disk {
	d := &Disk{s: s, slow: 1, sync: time.Duration(s.Between(30, 2000)) * time.Microsecond}
	d.mount(crashfs.New())
	return d
}

func (d *Disk) mount(fs *crashfs.FS) {
	d.fs, d.gone, d.cutIn = fs, nil, 0
	fs.Before(d.before)
}

// FS is the file system, until the machine crashes.
func (d *Disk) FS() vfs.FS { return d.fs }

// SyncTime draws how long a group of writes and its sync take now.
func (d *Disk) SyncTime() time.Duration {
	return time.Duration(d.slow) * d.s.Lasting(d.sync/4, 4*d.sync)
}

// before is called by the file system before every change.
func (d *Disk) before(c crashfs.Call) error {
	if d.gone != nil {
		return errPower
	}
	if d.cutIn > 0 {
		if d.cutIn--; d.cutIn == 0 {
			d.gone = d.fs.Crash(d.survive, d.s.Rand, c)
			d.s.Reach("the power failed under a call of the disk")
			return errPower
		}
	}
	switch {
	case d.failing > 0 && c.Op == "sync":
		d.failing--
		d.s.Reach("a sync failed")
		return syscall.EIO
	case d.full && (c.Op == "create" || c.Op == "mkdir" || c.Op == "write" && making(c.Path)):
		d.s.Reach("the disk was full")
		return syscall.ENOSPC
	}
	return nil
}

// making reports whether a file is being made, and grows with what is written to
// it. All others have their length.
func making(path string) bool {
	return strings.HasSuffix(path, ".tmp") || strings.HasSuffix(path, ".new")
}

// crash is what happens to the disk when its machine dies.
func (d *Disk) crash(s crashfs.Survival) {
	next := d.gone
	if next == nil {
		next = d.fs.Crash(s, d.s.Rand, crashfs.Call{})
	}
	d.mount(next)
}

// wipe makes it a new disk.
func (d *Disk) wipe() {
	d.mount(crashfs.New())
	d.failing, d.full, d.slow = 0, false, 1
}

// heal ends what was done to it.
func (d *Disk) heal() { d.failing, d.full, d.slow, d.cutIn = 0, false, 1, 0 }

// Files returns the paths of all files below dir, in order.
func (d *Disk) Files(dir string) []string {
	names, err := d.fs.List(dir)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		path := d.fs.PathJoin(dir, name)
		if st, err := d.fs.Stat(path); err == nil && st.IsDir() {
			out = append(out, d.Files(path)...)
		} else if err == nil {
			out = append(out, path)
		}
	}
	return out
}

// Flip changes one bit of a file at rest, durably. The machine is down.
func (d *Disk) Flip(path string, from, to int64) bool {
	return flip(d.fs, path, from, to, d.s.Rand)
}

func flip(fs vfs.FS, path string, from, to int64, rng *rand.Rand) bool {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // in memory
	var b [1]byte
	at := from + rng.Int64N(max(to-from, 1))
	if _, err := f.ReadAt(b[:], at); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	b[0] ^= 1 << rng.IntN(8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		return false
	}
	return f.Sync() == nil
}
