package home

import (
	"errors"
	"io/fs"
	"syscall"
)

// A reserve is a file of zeros in a home that is removed where a document, or the identity,
// finds no room: a vote, a promise or a new voter must not wait for whoever fills
// the disk. It is made again by the next of them for which there is room, so that
// most disks that are full find it there. What is larger, or comes while the reserve
// is gone, is refused with topology.ErrDiskFull, and whoever asked asks again.
type reserve struct {
	home  *Home
	there bool // owned by who has the turn
}

const (
	reserveName  = "reserve"
	reserveBytes = 64 << 10
)

// isFull reports whether err says that there was no room, and nothing was lost by
// that: an error of a sync does not.
func isFull(err error) bool {
	var unsynced *syncError
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.As(err, &unsynced)
}

// with runs a step that may be run again, with the room of the reserve if
// there is none else. Whoever calls it has the turn.
func (r *reserve) with(step func() error) error {
	h, err := r.home, step()
	if isFull(err) && r.there {
		r.there = false
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
func (r *reserve) restock() {
	if !r.there {
		r.there = r.make() == nil
	}
}

// adopt looks for the reserve of an earlier start, and makes one. A home
// works without, only not through a full disk.
func (r *reserve) adopt() {
	h := r.home
	_, err := h.disk.Stat(h.path(reserveName))
	if errors.Is(err, fs.ErrNotExist) {
		err = r.make()
	}
	if r.there = err == nil; err != nil {
		h.logger.Warn("no reserve for a full disk", "dir", h.dir, "err", err)
	}
}

func (r *reserve) make() error {
	h := r.home
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
