package wal

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// Options configure a log. The zero value of all but Dir and Node means the
// default.
type Options struct {
	FS  vfs.FS // default vfs.Default
	Dir string // made, with mode 0700, if missing; its owner holds the lock on it

	// Cluster and Node stand in every header; a log of others is refused
	// (bad input 59, 76). A new log whose cluster is not known yet takes the
	// zero value, and SetCluster before the first Append.
	Cluster [16]byte
	Node    topology.NodeID

	// SegmentBytes is the length of a segment file; default 64 MiB. The first
	// segments of a new log are shorter (1 MiB, doubling), so that a small node
	// starts fast and stays small; one that must hold a longer record is longer.
	SegmentBytes int64
	// FirstSegmentBytes is the length of the first segment of a new log, from
	// which the later ones double; default 1 MiB. One as long as SegmentBytes
	// makes a new log ready for a heavy load at once, for the price of zeroing
	// two whole segments when it begins.
	FirstSegmentBytes int64
	// UnflushedBytesMax is how much may be appended and not yet durable before
	// Append and Copy block; default 64 MiB.
	UnflushedBytesMax int64
	// TailBytes is how much of the newest part of the log stays in memory for
	// readers; default 8 MiB. What is not yet flushed always does.
	TailBytes int64

	Logger *slog.Logger // default: says nothing
}

// Limits that are not options.
const (
	segmentBytesDefault   = 64 << 20
	segmentBytesFirst     = 1 << 20 // of the first segment of a new log
	segmentBytesMin       = 8 << 10
	segmentBytesMax       = 1 << 30 // offsets in a segment have 32 bits
	unflushedBytesDefault = 64 << 20
	tailBytesDefault      = 8 << 20

	groupBytesMax   = 8 << 20   // of one write and sync
	gatherRecords   = 64        // of the next group: it is not held back for more
	gatherTurns     = 16        // left to others before a group is written
	gatherShare     = 4         // of a sync's time: the part that may go by meanwhile
	tookOver        = 4         // syncs over which that time is smoothed
	gatherQuiet     = 2         // of them in a row without an append: nobody is coming
	chunkBytesFirst = 16 << 10  // of the tail in memory, doubling up to
	chunkBytesMax   = 256 << 10 //
	readBytesFirst  = 64 << 10  // of a reader's first buffer; later ones have
	readBytesMax    = 512 << 10 //
	ctxEvery        = 256       // entries from files between two looks at the context
	scanBytes       = 1 << 20   // of the buffer of recovery
	indexEveryBytes = 64 << 10  // between two marks of a segment's index
	scrubReadBytes  = 64 << 10  // of the first read of a scrub
	damagesMax      = 16        // that one pass of it tells of
	damagedKept     = 4         // damaged segments that are put aside
	zeroStepBytes   = 1 << 20   // written between two syncs while a spare is made
	reserveBytesMax = 1 << 20   // of the reserve
	sparesMax       = 2         // files kept to be used again
	interruptsMax   = 16        // syncs that a signal interrupted, one after another
	cutsKept        = 64        // cuts that readers can tell apart
	waitersKept     = 64        // kept to be used again
	termsMax        = 1 << 16   // of the history; the oldest are forgotten

	spareRetry  = time.Second          // after the disk was full
	gatherEach  = 2 * time.Microsecond // of a sync: what a record of its group is to use of it
	promiseIdle = time.Second          // without a write, until a promise of its own is written
)

func (o Options) withDefaults() (Options, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	set := func(p *int64, d int64) {
		if *p == 0 {
			*p = d
		}
	}
	set(&o.SegmentBytes, segmentBytesDefault)
	set(&o.FirstSegmentBytes, segmentBytesFirst)
	set(&o.UnflushedBytesMax, unflushedBytesDefault)
	set(&o.TailBytes, tailBytesDefault)
	switch {
	case o.Dir == "":
		return o, fmt.Errorf("wal: no directory")
	case !o.Node.Valid():
		return o, fmt.Errorf("wal: node id %q: [a-z][a-z0-9-]{0,62} expected", o.Node)
	case o.SegmentBytes < segmentBytesMin || o.SegmentBytes > segmentBytesMax:
		return o, fmt.Errorf("wal: segments of %d bytes: %d to %d expected", o.SegmentBytes, segmentBytesMin, segmentBytesMax)
	case o.FirstSegmentBytes < segmentBytesMin:
		return o, fmt.Errorf("wal: a first segment of %d bytes: at least %d expected", o.FirstSegmentBytes, segmentBytesMin)
	case o.UnflushedBytesMax < 0 || o.TailBytes < 0:
		return o, fmt.Errorf("wal: negative limit")
	}
	return o, nil
}

// planned is the length of the segment with that number.
func (o Options) planned(number uint64) int64 {
	n := min(o.FirstSegmentBytes, o.SegmentBytes)
	for i := uint64(1); i < number && n < o.SegmentBytes; i++ {
		n *= 2
	}
	return min(n, o.SegmentBytes)
}
