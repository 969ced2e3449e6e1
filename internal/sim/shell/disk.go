package shell

import (
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// ills are what ails the disk of a machine.
type ills struct {
	slow     atomic.Int64 // nanoseconds that a sync takes
	full     atomic.Bool  // nothing can be made or made longer
	badSync  atomic.Bool  // the next sync fails
	badWrite atomic.Bool  // the next write fails
	met      atomic.Bool  // a call has failed since the node was started
}

// insert makes f the disk of the machine.
func (m *machine) insert(f *crashfs.FS) {
	f.Before(func(c crashfs.Call) error {
		f.Calls() // nobody counts them here
		err := m.ills.ail(f, c)
		if err != nil {
			m.ills.met.Store(true)
			m.w.reach("a disk failed: " + c.Op)
		}
		return err
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disk = f
}

// ail is what comes over one call.
func (i *ills) ail(f *crashfs.FS, c crashfs.Call) error {
	switch c.Op {
	case "sync", "syncdir":
		// Pebble syncs its own log, in which nothing stands, with its lock held: who
		// sleeps there stops the bubble.
		if slow := i.slow.Load(); slow > 0 && !strings.HasSuffix(c.Path, ".log") {
			time.Sleep(time.Duration(slow))
		}
		if i.badSync.CompareAndSwap(true, false) {
			return syscall.EIO
		}
	case "write":
		if i.badWrite.CompareAndSwap(true, false) {
			return syscall.EIO
		}
		if i.full.Load() && longer(f, c) {
			return syscall.ENOSPC
		}
	case "create", "mkdir":
		if i.full.Load() {
			return syscall.ENOSPC
		}
	}
	return nil
}

// longer reports whether a write makes its file longer. One that was renamed since
// it was opened is as long as it will be.
func longer(f *crashfs.FS, c crashfs.Call) bool {
	stat, err := f.Mem().Stat(c.Path)
	return err == nil && c.Off+int64(c.Bytes) > stat.Size()
}

// heal ends what ails the disk.
func (i *ills) heal() {
	i.slow.Store(0)
	i.full.Store(false)
	i.badSync.Store(false)
	i.badWrite.Store(false)
}
