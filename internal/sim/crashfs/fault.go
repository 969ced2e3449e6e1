package crashfs

import (
	"errors"
	"sync/atomic"
	"syscall"
)

// Fault makes one call fail, found by its Key, and with Lasts every call after
// it that Hits it too.
type Fault struct {
	Key   string
	Cause error
	Lasts bool
	Short bool // a write gets half of its bytes to the disk

	met  atomic.Bool
	gone atomic.Bool
}

// Hook is for [FS.Before].
func (x *Fault) Hook(c Call) error {
	switch {
	case x.gone.Load():
		return nil
	case c.Key() == x.Key:
		x.met.Store(true)
	case !x.Lasts || !x.met.Load() || !x.Hits(c):
		return nil
	}
	if x.Short && c.Op == "write" {
		return &Short{Bytes: c.Bytes / 2, Err: x.Cause}
	}
	return x.Cause
}

// Hits reports whether the cause is one that the call can have: a full disk
// keeps nobody from removing a file.
func (x *Fault) Hits(c Call) bool {
	if !errors.Is(x.Cause, syscall.ENOSPC) {
		return true
	}
	switch c.Op {
	case "create", "write", "rename", "link", "mkdir", "preallocate":
		return true
	}
	return false
}

// Met reports whether the call has come.
func (x *Fault) Met() bool { return x.met.Load() }

// End lets everything succeed from now on: somebody made room.
func (x *Fault) End() { x.gone.Store(true) }
