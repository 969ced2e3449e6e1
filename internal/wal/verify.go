package wal

import (
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// SegmentReport is what [Verify] says of one segment.
type SegmentReport struct {
	File    string
	Number  uint64
	First   record.LSN // of its first entry
	Last    record.LSN // of its last one; First−1 if it is empty
	Records uint64
	Bytes   int64 // used, of Size
	Size    int64
	Closed  bool // it ends in a footer, and another follows
}

// Report is what [Verify] says of a whole log.
type Report struct {
	Cluster  [16]byte
	Node     topology.NodeID
	First    record.LSN // an empty log has Last = First−1
	Last     record.LSN
	History  topology.History
	Segments int
	Promised int64 // offset in the last segment up to which its frames promise that it is durable
	Torn     int64 // bytes behind its end that are remains of frames, and will be cut
	Cutting  bool  // a cut had begun, and will be finished
}

// Verify reads all of a log that nobody has open, and checks every sum. It calls
// see, which may be nil, for every segment that is whole, and changes nothing.
// Its errors are those of [Open]. A directory in which no log was begun has a
// Report of zeros.
func Verify(fs vfs.FS, dir string, see func(SegmentReport)) (Report, error) {
	s, err := look(folder{fs: fs, dir: dir}, nil, func(g *segment) {
		if see != nil {
			see(g.report())
		}
	})
	if err != nil || !s.begun {
		return Report{}, err
	}
	last := s.segs[len(s.segs)-1]
	r := Report{
		Cluster: s.man.cluster, Node: s.man.node,
		First: s.man.first, Last: last.last,
		History: s.history, Segments: len(s.segs),
		Promised: s.open.promised, Cutting: s.open.cutting,
	}
	if s.open.strays.end > 0 {
		r.Torn = s.open.strays.end - last.end
	}
	return r, nil
}

func (s *segment) report() SegmentReport {
	r := SegmentReport{
		File: s.name, Number: s.number, First: s.first, Last: s.last,
		Records: uint64(s.last + 1 - s.first), Bytes: s.end, Size: s.capacity, Closed: s.closed,
	}
	if s.closed {
		r.Bytes += footerBytes
	}
	return r
}

// Dump yields the entries from one LSN through another of a log that nobody has
// open, in order, and then the error that [Verify] would return, if any. Where
// the log is damaged it so yields what stands before the damage. It changes
// nothing.
func Dump(fs vfs.FS, dir string, from, to record.LSN) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		enough := false
		_, err := look(folder{fs: fs, dir: dir}, func(_ *segment, f frame) bool {
			if f.kind == kindEntry && f.LSN >= from && f.LSN <= to {
				f.Bytes = append([]byte(nil), f.Bytes...)
				enough = !yield(f.Entry, nil)
			}
			enough = enough || f.LSN >= to
			return !enough
		}, nil)
		if err != nil && !enough {
			yield(record.Entry{}, err)
		}
	}
}
