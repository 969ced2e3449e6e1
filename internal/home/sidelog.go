package home

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A side file holds, one after another,
//
//	entries   as record.AppendEntry writes them, in the order they were given
//	summary   sealed, magic triad.as: a msgpack array of six: format uint 1,
//	          why str, first uint, last uint, records uint, and sum uint, the
//	          CRC-32C of all entries with their headers
//	length    4 bytes, of the sealed summary, little endian
//
// and has its name only once it is whole and durable.
const sideFormat = 1

const (
	magicSide     = "triad.as"
	sideName      = "aside"
	sideExt       = ".entries"
	sideTailBytes = 4
)

// Limits of a side log.
const (
	SideFilesMax     = 1 << 14 // files; beyond it someone must move them away
	SideWhyBytesMax  = 1 << 10 // of why entries left; the rest is cut off
	sideSummaryMax   = SideWhyBytesMax + 64
	sideBufferBytes  = 1 << 20
	sideEntryBytes   = record.EntryHeaderBytes + record.RecordBytesMax
	sideNumberDigits = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sidelog keeps what replication takes out of the log in files beside it (rule
// C10). It is safe for concurrent use. Nothing here is ever removed but by a
// person.
type Sidelog struct {
	home *Home
	turn chan struct{} // holds one token: who has it may write
}

var _ topology.Sidelog = (*Sidelog)(nil)

// Sidelog returns the directory's side log.
func (h *Home) Sidelog() *Sidelog { return h.side }

// Aside reads the side files of a directory that a node may have open: each is whole
// once it has its name, and never changes. Nothing may be kept there by it.
func Aside(fs vfs.FS, dir string) *Sidelog {
	h := &Home{disk: fs, dir: dir, closed: true, turn: make(chan struct{}, 1)}
	h.turn <- struct{}{}
	return newSidelog(h)
}

func newSidelog(h *Home) *Sidelog {
	s := &Sidelog{home: h, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// Keep implements topology.Sidelog. When it fails, nothing is kept.
func (s *Sidelog) Keep(why string, entries iter.Seq2[record.Entry, error]) (topology.Kept, error) {
	return s.add(topology.Kept{Why: why}, entries)
}

// Miss implements topology.Sidelog. It makes a file that holds no entries.
func (s *Sidelog) Miss(why string, first, last record.LSN) (topology.Kept, error) {
	return s.add(topology.Kept{Why: why, First: first, Last: last}, func(func(record.Entry, error) bool) {})
}

// add makes a file of what kept says already, and of entries. Where neither has a
// place there is none.
func (s *Sidelog) add(kept topology.Kept, entries iter.Seq2[record.Entry, error]) (topology.Kept, error) {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	if len(kept.Why) > SideWhyBytesMax {
		kept.Why = strings.ToValidUTF8(kept.Why[:SideWhyBytesMax], "")
	}
	if err := s.open(); err != nil {
		return topology.Kept{}, err
	}
	numbers, err := s.numbers()
	if err != nil {
		return topology.Kept{}, err
	}
	if len(numbers) >= SideFilesMax {
		return topology.Kept{}, s.errorf("%d files are there already; move them away: %w", SideFilesMax, topology.ErrTooLarge)
	}
	next := uint64(1)
	if n := len(numbers); n > 0 {
		next = numbers[n-1] + 1
	}
	kept.Name = fmt.Sprintf("%0*d%s", sideNumberDigits, next, sideExt)
	temporary := s.path(kept.Name + temporarySuffix)
	if err := s.write(temporary, &kept, entries); err != nil || kept.First == 0 {
		if gone := s.home.disk.Remove(temporary); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		if err != nil {
			err = s.errorf("%s: %w", kept.Name, err)
		}
		return topology.Kept{}, err
	}
	err = s.home.disk.Rename(temporary, s.path(kept.Name))
	if err == nil {
		err = syncDir(s.home.disk, s.path())
	}
	if err != nil {
		return topology.Kept{}, s.errorf("%s: %w", kept.Name, err)
	}
	return kept, nil
}

// open makes the directory of the side files, unless the home is closed.
func (s *Sidelog) open() error {
	if err := s.home.enter(); err != nil {
		return err
	}
	defer s.home.leave()
	if err := makeDir(s.home.disk, s.path()); err != nil {
		return s.home.refuseWrite(err)
	}
	return nil
}

// write writes a whole file and completes kept. It makes none if there are no
// entries, and kept names none.
func (s *Sidelog) write(path string, kept *topology.Kept, entries iter.Seq2[record.Entry, error]) error {
	var f vfs.File
	var w *bufio.Writer
	var b []byte
	var sum uint32
	create := func() (err error) {
		if f, err = s.home.disk.Create(path, writeCategory); err == nil {
			w = bufio.NewWriterSize(f, sideBufferBytes)
		}
		return err
	}
	err := func() error {
		for e, err := range entries {
			if err == nil && f == nil {
				err = create()
			}
			if err != nil {
				return err
			}
			if kept.Records == 0 {
				kept.First = e.LSN
			}
			kept.Last, kept.Records = e.LSN, kept.Records+1
			b = record.AppendEntry(b[:0], e)
			sum = crc32.Update(sum, castagnoli, b)
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		if f == nil {
			if kept.First == 0 {
				return nil
			}
			if err := create(); err != nil {
				return err
			}
		}
		b = seal(magicSide, encodeSummary(kept, sum))
		_, _ = w.Write(binary.LittleEndian.AppendUint32(b, uint32(len(b)))) // Flush tells
		if err := w.Flush(); err != nil {
			return err
		}
		return syncFile(f)
	}()
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

func encodeSummary(k *topology.Kept, sum uint32) []byte {
	w := pack.NewWriter(nil)
	w.Array(6)
	w.Uint(sideFormat)
	w.Str(k.Why)
	w.Uint(uint64(k.First))
	w.Uint(uint64(k.Last))
	w.Uint(k.Records)
	w.Uint(uint64(sum))
	return w.Bytes()
}

func decodeSummary(b []byte, k *topology.Kept) (sum uint32, err error) {
	r, err := readBody(b, sideFormat, 6)
	if err != nil {
		return 0, err
	}
	k.Why = r.StrMax(SideWhyBytesMax)
	k.First, k.Last, k.Records = record.LSN(r.Uint()), record.LSN(r.Uint()), r.Uint()
	sum = uint32(r.UintMax(math.MaxUint32))
	return sum, r.Done()
}

// List implements topology.Sidelog.
func (s *Sidelog) List() ([]topology.Kept, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	all := make([]topology.Kept, 0, len(numbers))
	for _, n := range numbers {
		k := topology.Kept{Name: fmt.Sprintf("%0*d%s", sideNumberDigits, n, sideExt)}
		f, err := s.home.disk.Open(s.path(k.Name))
		if err == nil {
			_, _, err = readSummary(f, &k)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return nil, s.errorf("%s: %w", k.Name, err)
		}
		all = append(all, k)
	}
	return all, nil
}

// readSummary completes k and returns where the entries end, and their sum.
func readSummary(f vfs.File, k *topology.Kept) (end int64, sum uint32, err error) {
	stat, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	var tail [sideTailBytes]byte
	if stat.Size() < sideTailBytes {
		return 0, 0, errSeal
	}
	if _, err := f.ReadAt(tail[:], stat.Size()-sideTailBytes); err != nil {
		return 0, 0, err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	end = stat.Size() - sideTailBytes - n
	if n > sealBytes+sideSummaryMax || end < 0 {
		return 0, 0, fmt.Errorf("%w: a summary of %d bytes", errSeal, n)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, end); err != nil {
		return 0, 0, err
	}
	body, err := unseal(magicSide, b)
	if err != nil {
		return 0, 0, err
	}
	sum, err = decodeSummary(body, k)
	return end, sum, err
}

// Entries yields what the side file of that name holds, each entry checked
// against its sum; that places and terms are right too is known once the last
// one was yielded without an error. Entries may be kept.
func (s *Sidelog) Entries(name string) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		stopped, err := false, error(nil)
		if _, ok := sideNumber(name); !ok {
			err = fs.ErrNotExist
		}
		var f vfs.File
		if err == nil {
			f, err = s.home.disk.Open(s.path(name))
		}
		if err == nil {
			err = readEntries(f, func(e record.Entry) bool {
				stopped = !yield(e, nil)
				return !stopped
			})
			err = errors.Join(err, f.Close())
		}
		if err != nil && !stopped {
			yield(record.Entry{}, s.errorf("%s: %w", name, err))
		}
	}
}

func readEntries(f vfs.File, yield func(record.Entry) bool) error {
	var k topology.Kept
	end, want, err := readSummary(f, &k)
	if err != nil {
		return err
	}
	var sum uint32
	from := bufio.NewReaderSize(io.NewSectionReader(f, 0, end), sideBufferBytes)
	for range k.Records {
		head, err := from.Peek(record.EntryHeaderBytes)
		if err != nil {
			return fmt.Errorf("%w: it ends early", errSeal)
		}
		n := int64(record.EntryHeaderBytes) + int64(binary.LittleEndian.Uint32(head[16:]))
		if n > sideEntryBytes || n > end {
			return fmt.Errorf("%w: an entry of %d bytes", errSeal, n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(from, b); err != nil {
			return fmt.Errorf("%w: it ends early", errSeal)
		}
		e, _, err := record.NextEntry(b)
		if err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, b)
		if !yield(e) {
			return nil
		}
	}
	if sum != want {
		return fmt.Errorf("%w: the sum of its entries does not match", errSeal)
	}
	return nil
}

// numbers returns the numbers of the side files in order.
func (s *Sidelog) numbers() ([]uint64, error) {
	names, err := s.home.disk.List(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.errorf("%w", err)
	}
	var numbers []uint64
	for _, name := range names {
		if n, ok := sideNumber(name); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// sideNumber returns the number of a side file by its name, which has one form.
func sideNumber(name string) (uint64, bool) {
	var n uint64
	digits, ok := strings.CutSuffix(name, sideExt)
	if _, err := fmt.Sscanf(digits, "%d", &n); !ok || err != nil {
		return 0, false
	}
	return n, fmt.Sprintf("%0*d", sideNumberDigits, n) == digits
}

func (s *Sidelog) path(elem ...string) string {
	return s.home.path(append([]string{sideName}, elem...)...)
}

func (s *Sidelog) errorf(format string, args ...any) error {
	return fmt.Errorf("side log in "+strings.ReplaceAll(s.home.dir, "%", "%%")+": "+format, args...)
}
