package wal

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// Driven is a log without goroutines: whoever has it says when a group is
// written, in place of Run, so that a simulator decides what happens when. All
// calls, those of the Log too, come from one goroutine, and none waits: an Append
// that would block for more than UnflushedBytesMax must not be made.
type Driven struct {
	*Log
	w writer
}

// errWaits says that a driven log has no spare segment, because the disk is full.
var errWaits = errors.New("no space for the next segment yet")

// Drive takes the place of Run.
func (l *Log) Drive() (*Driven, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.st.ended(); err != nil {
		return nil, err
	}
	if l.st.phase != opened {
		return nil, fmt.Errorf("log: it runs already: %w", topology.ErrConflict)
	}
	l.st.phase = running
	l.spares.driven = true
	return &Driven{Log: l, w: writer{Log: l, driven: true}}, nil
}

// Write writes and syncs one group, or goes to the next segment, and reports
// whether it did: nothing was appended, or there is no space for a segment. An
// error is the failure that ended the log.
func (d *Driven) Write() (bool, error) {
	d.spares.provide()
	wrote, err := d.w.group(context.Background())
	switch {
	case err == errWaits:
		return false, nil
	case err != nil:
		d.tell(err)
	}
	return wrote, err
}

// Rest makes the durability of the last group known in the file, as a log does
// that had nothing to write for a while.
func (d *Driven) Rest() error { return d.w.promise() }

// Close writes what was appended, and releases the log.
func (d *Driven) Close() error {
	d.w.stop()
	var err error
	for wrote := true; wrote && err == nil; {
		wrote, err = d.Write()
	}
	if err == nil {
		err = d.Rest()
	}
	d.finish(nil)
	d.spares.drop()
	return errors.Join(err, d.Log.Close())
}

// provide makes the spare for the next segment, as run does ahead of need.
func (p *spares) provide() {
	if p.ahead != nil {
		return
	}
	s, err := p.next()
	switch {
	case err == nil:
		p.ahead = s
		p.full(false)
		p.reserve()
	case isFull(err):
		p.full(true)
	default:
		p.broken("making a spare segment", err)
	}
}

// handOver returns the spare that provide has made.
func (p *spares) handOver() (*spareFile, error) {
	s := p.ahead
	if s == nil {
		return nil, errWaits
	}
	p.ahead = nil
	p.taken(1)
	return s, nil
}

// drop gives back a spare that nobody took.
func (p *spares) drop() {
	if s := p.ahead; s != nil {
		p.ahead = nil
		p.giveBack(s)
	}
}
