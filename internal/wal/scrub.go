package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// ScrubReport is what one pass of [Log.Scrub] found.
type ScrubReport struct {
	Segments int
	Bytes    uint64
	Damage   []Damage // at most damagesMax, oldest first
}

// Damage is a place at which a log no longer holds what was written.
type Damage struct {
	Err    error      // a [*CorruptError], a [*ForeignError] or a [*FormatError]
	Number uint64     // of the segment; 0 for the manifest
	First  record.LSN // of the entries that can no longer be read, or would not be after a restart
	Last   record.LSN // First−1 if there are none
	Closed bool       // nothing is written to that segment any more
}

// Scrub reads all that is durable of the log, as [Verify] does of one that nobody
// has open, and checks it: the manifest, headers, every frame and its record,
// footers, and that each segment continues the one before. It may run at any time
// beside everything else, and sees neither what is not flushed nor what is cut or
// retired meanwhile. pace is called before every read with its bytes, and may
// wait; its error ends the pass.
//
// What the operating system has cached is read from there: a pass says that what
// can be read is what was written.
//
// Damage is no error of Scrub, and the log goes on; [Log.Read] ends before it, as
// it checks what it reads. A manifest is written again as it was. A segment that is damaged is never used again: when it
// is retired it is put aside under its name and ".damaged", damagedKept of them.
func (l *Log) Scrub(ctx context.Context, pace func(ctx context.Context, bytes int) error) (ScrubReport, error) {
	s := scrub{l: l}
	s.paced = folder{dir: l.d.dir, fs: pacedFS{FS: l.d.fs, pace: func(n int) error {
		s.Bytes += uint64(n)
		return pace(ctx, n)
	}}}
	if err := s.manifest(); err != nil {
		return s.ScrubReport, err
	}
	for {
		more, err := s.segment()
		if err != nil || !more {
			return s.ScrubReport, err
		}
	}
}

// scrub is one pass. It goes by the numbers of segments, as what there is may
// change under it.
type scrub struct {
	ScrubReport
	l     *Log
	paced folder
	next  uint64   // segments below it were looked at
	prev  *segment // the one below it as it was read, if that was whole
	chain uint32   // frame sum of its footer
	epoch uint64   // of the log, when prev was looked at
}

// note takes damage into the report; anything else is an error of the pass.
func (s *scrub) note(d Damage) error {
	var c *CorruptError
	var f *ForeignError
	var v *FormatError
	if !errors.As(d.Err, &c) && !errors.As(d.Err, &f) && !errors.As(d.Err, &v) {
		return d.Err
	}
	if len(s.Damage) < damagesMax {
		s.Damage = append(s.Damage, d)
	}
	return nil
}

// manifest checks the manifest while nobody changes it.
func (s *scrub) manifest() error {
	l := s.l
	l.edit <- struct{}{}
	defer func() { <-l.edit }()
	l.mu.Lock()
	begun, err := l.st.begun, l.st.ended()
	l.mu.Unlock()
	if err != nil || !begun {
		return err
	}
	b, err := l.d.read(manifestName, manifestBytesMax)
	s.Bytes += uint64(len(b))
	switch {
	case err != nil:
		err = unreadable(manifestName, 0, 0, err)
	case !bytes.Equal(b, l.man.encode()):
		_, cause := parseManifest(manifestName, b)
		err = corrupt(manifestName, 0, 0, cause, "it is not the manifest that was written")
	default:
		return nil
	}
	if err := s.note(Damage{Err: err, First: 1}); err != nil {
		return err
	}
	// What is known of it in memory is what was written: it is written again.
	switch err := l.man.save(l.d); {
	case isFull(err):
		return fmt.Errorf("log: writing the damaged manifest again: %w: %w", topology.ErrDiskFull, err)
	case err != nil:
		return l.fail("writing the damaged manifest again", err)
	}
	return nil
}

// due is the next segment to look at, as it is at the moment.
type due struct {
	seg   *segment // shared; only its header is looked at
	last  record.LSN
	end   int64
	full  bool // it has a footer
	epoch uint64
}

func (s *scrub) due() (due, bool) {
	l := s.l
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.st.segs {
		if g.number >= s.next {
			return due{seg: g, last: g.last, end: g.end, full: g.closed, epoch: l.epoch.Load()}, true
		}
	}
	return due{}, false
}

// segment looks at one segment; false if there is none left.
func (s *scrub) segment() (bool, error) {
	d, more := s.due()
	if !more {
		return false, nil
	}
	v := s.surveyor(d)
	open, err := v.segment(d.seg.number)
	if err == nil {
		err = d.differs(v.s.segs[len(v.s.segs)-1], open)
	}
	if s.l.epoch.Load() != d.epoch && err != nil {
		return true, nil // it was cut or retired meanwhile: look again at what there is
	}
	s.Segments++
	s.next, s.prev = d.seg.number+1, nil
	if err == nil {
		s.prev, s.chain, s.epoch = v.s.segs[len(v.s.segs)-1], v.chain, d.epoch
		return true, nil
	}
	if err := s.note(d.damage(err)); err != nil {
		return false, err
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	d.seg.hurt = true
	return true, nil
}

// surveyor is one that takes up the log at a segment, behind the one before if
// that is known, and goes no further than what is durable.
func (s *scrub) surveyor(d due) *surveyor {
	v := &surveyor{
		d: s.paced, s: &survey{man: manifest{cluster: d.seg.cluster, node: d.seg.node}},
		next: d.seg.first, term: d.seg.term, limit: d.end, size: scrubReadBytes,
	}
	if d.full {
		v.limit += footerBytes
	}
	if p := s.prev; p != nil && p.number+1 == d.seg.number && p.closed && s.epoch == d.epoch {
		v.s.segs = []*segment{p}
		v.log, v.end, v.chain = p.log, p.end+footerBytes, s.chain
	}
	return v
}

// differs says how a segment that is whole in itself is not the one it was.
func (d due) differs(found *segment, open bool) error {
	switch {
	case found.header != d.seg.header:
		return corrupt(d.seg.name, 0, d.seg.first, nil, "it is not the segment that was written")
	case found.end != d.end || found.last != d.last:
		return corrupt(d.seg.name, found.end, found.last+1, errNoFrame, "it was durable up to offset %d", d.end)
	case open && d.full:
		return corrupt(d.seg.name, d.end, d.last+1, errNoFrame, "its footer is missing")
	}
	return nil
}

func (d due) damage(err error) Damage {
	at := Damage{Err: err, Number: d.seg.number, First: d.seg.first, Last: d.last, Closed: d.full}
	var c *CorruptError
	if errors.As(err, &c) && c.LSN != 0 {
		at.First = min(c.LSN, d.last+1)
	}
	return at
}

// pacedFS asks before everything that is read.
type pacedFS struct {
	vfs.FS
	pace func(int) error
}

func (p pacedFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := p.FS.Open(name, opts...)
	if err != nil {
		return nil, err
	}
	return pacedFile{File: f, pace: p.pace}, nil
}

type pacedFile struct {
	vfs.File
	pace func(int) error
}

func (f pacedFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.pace(len(b)); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

// putAside keeps a damaged segment for inspection, if there are not too many.
func (d folder) putAside(name string) error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, damagedExt) })
	if len(kept) >= damagedKept {
		return d.remove(name)
	}
	if err := d.rename(name, name+damagedExt); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // what is damaged about it may be that it is gone
}
