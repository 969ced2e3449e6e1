package home

import (
	"errors"
	"io/fs"
	"syscall"
)

// A reserve is a file of zeros that is removed where a document, or the identity,
// finds no room: a vote, a promise or a new voter must not wait for whoever fills
// the disk. It is made again by the next of them for which there is room, so that
// most disks that are full find it there. What is larger, or comes while the reserve
// is gone, is refused with topology.ErrDiskFull, and whoever asked asks again.
const (
	reserveName  = "reserve"
	reserveBytes = 256 << 10
)

// isFull reports whether err says that there was no room, and nothing was lost by
// that: an error of a sync does not.
func isFull(err error) bool {
	var unsynced *syncError
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.As(err, &unsynced)
}

// withRoom runs a step that may be run again, with the room of the reserve if
// there is none else. Whoever calls it has the turn.
func (h *Home) withRoom(step func() error) error {
	err := step()
	if isFull(err) && h.reserved {
		h.reserved = false
		if gone := h.disk.Remove(h.path(reserveName)); gone != nil {
			return errors.Join(err, gone)
		}
		h.logger.Warn("the disk is full: the reserve of the data directory was given up", "dir", h.dir)
		err = step()
	}
	return err
}

// restock makes the reserve again, if it is not there and there is room. Whoever
// calls it has the turn.
func (h *Home) restock() {
	if !h.reserved {
		h.reserved = h.reserve() == nil
	}
}

// adoptReserve looks for the reserve of an earlier start, and makes one. A home
// works without, only not through a full disk.
func (h opening) adoptReserve() {
	_, err := h.disk.Stat(h.path(reserveName))
	if errors.Is(err, fs.ErrNotExist) {
		err = h.reserve()
	}
	if h.reserved = err == nil; err != nil {
		h.logger.Warn("no reserve for a full disk", "dir", h.dir, "err", err)
	}
}

func (h *Home) reserve() error {
	temporary := h.path(reserveName + temporarySuffix)
	f, err := h.disk.Create(temporary, writeCategory)
	if err == nil {
		err = writeSync(f, make([]byte, reserveBytes)) // zeros: a hole takes no room
	}
	if err == nil {
		err = h.disk.Rename(temporary, h.path(reserveName))
	}
	if err != nil {
		_ = h.disk.Remove(temporary) // what is left of it is written over
	}
	return err
}
