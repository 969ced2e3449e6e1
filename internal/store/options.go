package store

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where a store lives and what it may take. The zero value of every
// field but Dir works.
type Options struct {
	FS  vfs.FS // nil: the operating system's
	Dir string // made if it is not there; nobody else writes in it

	// CacheBytes is how much uncompressed data read from disk is kept in
	// memory under load. When little is written, what the write buffers leave of
	// their share goes to it too: together they take at most
	// CacheBytes + 3 × MemTableBytes. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one write buffer, of which up to three are in
	// memory under load, besides two fronts of five eighths of it; otherwise one
	// that starts with 256 KiB. The larger it is, the fewer tables are written.
	// Default 64 MiB, at least 256 KiB.
	MemTableBytes int64

	Logger *slog.Logger // nil: silent

	// OnFailure is called once, with the reason, when the store meets an I/O
	// error and takes no more writes. It is called from any goroutine, the
	// storage engine's own included: it must return at once and not call the
	// store, except for Failed.
	OnFailure func(error)

	space *space // of the store that is open with these
}

const (
	cacheBytesDefault    = 32 << 20
	memTableBytesDefault = 64 << 20
	memTableBytesMin     = 256 << 10
	memTableBytesMax     = 1 << 30

	// writeBuffersMax is how many write buffers may stand in memory, the one
	// that is being filled included: beyond it Apply waits for the disk.
	writeBuffersMax = 3
	// sublevelsMax is how many layers of freshly written tables a read may have
	// to look through: beyond it Apply waits for the compaction.
	sublevelsMax = 20
	// unreachable stands where Pebble wants a limit at which it blocks a writer.
	// It would block holding its locks, and for ever once the disk has failed,
	// so waiting is done before Pebble is called, by generation.room.
	unreachable = 1 << 20

	bloomBitsPerKey = 10
)

// pebbleFormat is Pebble's FormatMajorVersion. It is pinned, since raising it
// cannot be undone: an older binary no longer opens what a newer one has
// touched. 21 is table format 6, the first to put a sum over a table's footer.
const pebbleFormat pebble.FormatMajorVersion = 21

// pebbleFormatMarker is the marker in which Pebble keeps the format of a directory.
const pebbleFormatMarker = "format-version"

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, fmt.Errorf("store: no directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = cacheBytesDefault
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = memTableBytesDefault
	}
	if o.CacheBytes < 0 {
		return o, fmt.Errorf("store: cache of %d bytes", o.CacheBytes)
	}
	if o.MemTableBytes < memTableBytesMin || o.MemTableBytes > memTableBytesMax {
		return o, fmt.Errorf("store: write buffers of %d bytes: from %d to %d", o.MemTableBytes, memTableBytesMin, memTableBytesMax)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// newCache returns the block cache. Write buffers are charged to it by Pebble,
// so it is made larger by those that are there under steady load.
func (o Options) newCache() *pebble.Cache {
	return pebble.NewCache(o.CacheBytes + (writeBuffersMax-1)*o.MemTableBytes)
}

// pebble returns the options of one Pebble directory. There is no write-ahead
// log but ours: what was not flushed is replayed from it (rule C6).
func (o Options) pebble(f *fence, cache *pebble.Cache, progressed func()) *pebble.Options {
	p := &pebble.Options{
		FS:                          f,
		Cache:                       cache,
		DisableWAL:                  true,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		FormatMajorVersion:          pebbleFormat,
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: unreachable,
		L0StopWritesThreshold:       unreachable,
		Logger:                      quiet{logger: o.Logger, fence: f},
		EventListener: &pebble.EventListener{
			BackgroundError: f.background,
			DataCorruption:  func(i pebble.DataCorruptionInfo) { f.fail(fmt.Errorf("%s: %w", i.Path, i.Details)) },
			FlushEnd:        func(i pebble.FlushInfo) { f.wrote(i.Err); progressed() },
			CompactionEnd:   func(i pebble.CompactionInfo) { f.wrote(i.Err); progressed() },
		},
	}
	// The one that Pebble makes by itself wakes up ten times a second, and is
	// never stopped where Open fails. This one is the same without the clock,
	// which only a limit that changes has need of: ours is one compaction at a
	// time, and whatever waits is started by the one that ends.
	p.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	for i := range p.Levels {
		// Snappy on all levels: states are small, and two cores have better
		// things to do than zstd. A filter on all levels, the last one too,
		// since merging a new cell begins with a read that finds nothing.
		p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	return p
}
