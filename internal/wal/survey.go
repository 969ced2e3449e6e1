package wal

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// listing is what stands in a log's directory, by kind, in order.
type listing struct {
	manifest bool
	segments []uint64
	spares   []uint64
	parts    []string
}

func (d folder) list() (listing, error) {
	var l listing
	names, err := d.fs.List(d.dir)
	if err != nil {
		return l, err
	}
	for _, name := range names {
		if n, ok := numberOf(name, segmentExt, segmentName); ok {
			l.segments = append(l.segments, n)
		} else if n, ok := numberOf(name, spareExt, spareName); ok {
			l.spares = append(l.spares, n)
		} else if strings.HasSuffix(name, partExt) {
			l.parts = append(l.parts, name)
		} else if name == manifestName {
			l.manifest = true
		}
	}
	slices.Sort(l.segments)
	slices.Sort(l.spares)
	slices.Sort(l.parts)
	return l, nil
}

// survey is what recovery found. To make one changes nothing.
type survey struct {
	listing
	man     manifest // zero if the log was never begun
	begun   bool
	segs    []*segment // the last one is open
	history topology.History
	open    opening
	extra   []string // segments that are no part of the log
}

// opening is how the open segment ends.
type opening struct {
	promised int64  // durable up to here, by its own frames
	term     uint64 // of the last entry
	roll     uint32 // of its entries
	rested   bool   // its last frame is a promise of all before it
	strays   strays
	cutting  bool // a cut that had begun ends it here
}

// surveyor walks a log from its first segment to its end.
type surveyor struct {
	d     folder
	see   func(*segment, frame) bool // called for every frame; false to look no further; may be nil
	done  func(*segment)             // called for every segment of the log; may be nil
	s     *survey
	limit int64 // nothing of a segment is looked at from here on; 0: all of it
	size  int   // of a read; 0 is scanBytes
	next  record.LSN
	term  uint64
	log   uint64
	end   int64  // where the previous segment ended, behind its footer
	chain uint32 // frame sum of that footer
}

// look surveys a directory. Whatever is wrong with it is an error of this
// package, and nothing was changed.
func look(d folder, see func(*segment, frame) bool, done func(*segment)) (*survey, error) {
	l, err := d.list()
	if err != nil {
		return nil, err
	}
	v := surveyor{d: d, see: see, done: done, s: &survey{listing: l}}
	if !l.manifest {
		return v.s, v.unborn()
	}
	b, err := d.read(manifestName, manifestBytesMax)
	if err != nil {
		return nil, unreadable(manifestName, 0, 0, err)
	}
	var format *FormatError
	if v.s.man, err = parseManifest(manifestName, b); errors.As(err, &format) {
		return nil, err
	}
	if err != nil {
		return nil, corrupt(manifestName, 0, 0, err, "the manifest is damaged")
	}
	return v.s, v.segments()
}

// errEnough ends a survey whose caller has seen what it wanted.
var errEnough = errors.New("enough was seen")

// unborn looks at a directory without a manifest. Where a log was being made,
// its first segment may stand there, and is empty.
func (v *surveyor) unborn() error {
	for _, n := range v.s.segments {
		if n == 1 {
			empty, err := v.empty(n)
			if err != nil {
				return err
			}
			if empty {
				v.s.extra = append(v.s.extra, segmentName(n))
				continue
			}
		}
		return corrupt(manifestName, 0, 0, os.ErrNotExist, "the manifest of segment %s is missing", segmentName(n))
	}
	return nil
}

// segments walks all segments the manifest says there are.
func (v *surveyor) segments() error {
	s := v.s
	s.begun, s.history = true, before(s.man.history, s.man.first)
	v.next, v.term = s.man.first, s.history.Last()
	for _, n := range s.listing.segments {
		if n < s.man.segment {
			s.extra = append(s.extra, segmentName(n))
		}
	}
	for n := s.man.segment; ; n++ {
		if _, found := slices.BinarySearch(s.listing.segments, n); !found {
			return corrupt(segmentName(n), 0, v.next, os.ErrNotExist, "the segment is missing")
		}
		open, err := v.segment(n)
		if err != nil {
			return err
		}
		if v.done != nil {
			v.done(s.segs[len(s.segs)-1])
		}
		if open {
			return v.behind(n)
		}
	}
}

// behind looks at segments after the open one. They can only be empty: the next
// one, made but not yet used; unless a cut had begun.
func (v *surveyor) behind(number uint64) error {
	s := v.s
	open := s.segs[len(s.segs)-1]
	for _, n := range s.listing.segments {
		if n <= number {
			continue
		}
		if !s.open.cutting {
			empty, err := v.empty(n)
			if err != nil {
				return err
			}
			if !empty {
				return corrupt(open.name, open.end, open.last+1, nil, "the segment is not closed, and %s follows it", segmentName(n))
			}
		}
		s.extra = append(s.extra, segmentName(n))
	}
	return nil
}

// empty reports whether a segment has a header and no frame.
func (v *surveyor) empty(number uint64) (bool, error) {
	name := segmentName(number)
	f, err := v.d.open(name)
	if err != nil {
		return false, unreadable(name, 0, 0, err)
	}
	defer f.Close()
	seg, err := readHeader(f, name)
	if err != nil {
		return false, err
	}
	found, err := seg.walk(f, headerBytes, seg.capacity).strays()
	if err != nil {
		return false, unreadable(name, headerBytes, 0, err)
	}
	return found.whole == 0, nil
}

// readHeader reads the header of a segment file, which must be as long as the
// header says.
func readHeader(f vfs.File, name string) (*segment, error) {
	b := make([]byte, headerBytes)
	n, err := readAt(f, b, 0)
	if err != nil {
		return nil, unreadable(name, 0, 0, err)
	}
	h, seed, err := parseHeader(name, b[:n])
	var format *FormatError
	switch {
	case errors.As(err, &format):
		return nil, err
	case err != nil:
		return nil, corrupt(name, 0, 0, err, "the header is damaged")
	case segmentName(h.number) != name:
		return nil, corrupt(name, 0, 0, nil, "it holds the header of segment %d", h.number)
	}
	stat, err := f.Stat()
	if err != nil {
		return nil, unreadable(name, 0, 0, err)
	}
	if stat.Size() < h.capacity {
		return nil, corrupt(name, stat.Size(), 0, nil, "the file is %d bytes short", h.capacity-stat.Size())
	}
	return newSegment(h, seed), nil
}

// segment walks one segment, and reports whether it is the open one.
func (v *surveyor) segment(number uint64) (open bool, err error) {
	name := segmentName(number)
	f, err := v.d.open(name)
	if err != nil {
		return false, unreadable(name, 0, v.next, err)
	}
	defer f.Close()
	seg, err := readHeader(f, name)
	if err != nil {
		return false, err
	}
	if err := v.continues(seg); err != nil {
		return false, err
	}
	v.s.segs = append(v.s.segs, seg)
	v.s.open = opening{promised: headerBytes}
	w := seg.walk(f, headerBytes, seg.capacity)
	if v.limit > 0 {
		w.end, w.size = min(w.end, v.limit), v.size
	}
	for {
		o := &v.s.open
		if o.cutting = v.s.man.cutting && v.next > v.s.man.cut; o.cutting {
			o.term = v.term
			return true, nil
		}
		at := w.pos
		fr, ok, err := w.next()
		if err != nil {
			return false, unreadable(name, w.pos, v.next, err)
		}
		if !ok {
			o.term = v.term
			return true, v.torn(seg, w)
		}
		if err := v.frame(seg, fr, at); err != nil {
			return false, err
		}
		if v.see != nil && !v.see(seg, fr) {
			return true, errEnough
		}
		if fr.kind == kindFooter {
			seg.closed = true
			v.end, v.chain = w.pos, fr.sum
			return false, nil
		}
		seg.end = w.pos
	}
}

// continues checks a segment's header against what stands before it.
func (v *surveyor) continues(seg *segment) error {
	m := v.s.man
	if seg.cluster != m.cluster || seg.node != m.node {
		return &ForeignError{File: seg.name, Cluster: seg.cluster, Expected: m.cluster, Node: seg.node, Self: m.node}
	}
	if len(v.s.segs) == 0 {
		v.log = seg.offset
	} else if seg.prevEnd != v.end || seg.chain != v.chain || seg.offset != v.log {
		return corrupt(seg.name, 0, v.next, nil, "it does not continue %s", v.s.segs[len(v.s.segs)-1].name)
	}
	if seg.first != v.next || seg.term != v.term {
		return corrupt(seg.name, 0, v.next, nil, "it begins at LSN %d after term %d; %d after term %d expected", seg.first, seg.term, v.next, v.term)
	}
	return nil
}

// frame takes a valid frame into the picture. One that is out of order was not
// torn: it is damage of another kind.
func (v *surveyor) frame(seg *segment, f frame, at int64) error {
	o := &v.s.open
	if f.sync > at || f.sync < headerBytes {
		return corrupt(seg.name, at, v.next, nil, "the frame promises offset %d", f.sync)
	}
	o.promised = max(o.promised, f.sync)
	o.rested = f.kind == kindPromise && f.sync == at
	if f.kind != kindEntry {
		if f.LSN != v.next-1 || f.Term != v.term || f.Sum != o.roll {
			return corrupt(seg.name, at, v.next, nil, "a mark of LSN %d, term %d and roll %08x stands where those are %d, %d and %08x", f.LSN, f.Term, f.Sum, v.next-1, v.term, o.roll)
		}
		return nil
	}
	if f.LSN != v.next || f.Term < v.term {
		return corrupt(seg.name, at, v.next, nil, "entry %d of term %d stands where %d of term %d or later is due", f.LSN, f.Term, v.next, v.term)
	}
	if seg.wants(at) {
		seg.index = append(seg.index, mark{lsn: f.LSN, off: at, log: v.log})
	}
	v.s.history = grown(v.s.history, f.Term, f.LSN)
	v.next, v.term = v.next+1, f.Term
	v.log += uint64(f.bytes())
	o.roll = rolledSum(o.roll, f.sum)
	seg.last, seg.log = f.LSN, v.log
	return nil
}

// torn judges the end of the open segment: nothing that any frame, before or
// behind it, promised to be durable may be invalid (PW3).
func (v *surveyor) torn(seg *segment, w *walker) error {
	at, why := w.pos, w.why
	found, err := w.strays()
	if err != nil {
		return unreadable(seg.name, at, v.next, err)
	}
	if found.promised > at {
		return corrupt(seg.name, at, v.next, why, "it was durable up to offset %d", found.promised)
	}
	v.s.open.strays = found
	return nil
}
