package wal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// victim is a log that was killed, of one record a group and several segments,
// and where things stand in it.
type victim struct {
	fs       *crashfs.FS
	segments []string
	frames   map[string][]int64 // of every segment; a footer's is the last one
	first    map[string]record.LSN
	promised int64 // in the last segment
	last     record.LSN
}

const victimRecords = 90

func newVictim(t *testing.T) victim {
	v := victim{fs: unclean(t, small(nil), victimRecords), frames: map[string][]int64{}, first: map[string]record.LSN{}}
	pos := map[string]int64{}
	_, err := look(folder{fs: v.fs, dir: testDir}, func(s *segment, f frame) bool {
		if pos[s.name] == 0 {
			pos[s.name], v.first[s.name] = headerBytes, s.first
		}
		v.frames[s.name] = append(v.frames[s.name], pos[s.name])
		pos[s.name] += f.bytes()
		return true
	}, nil)
	require.NoError(t, err)
	report, err := Verify(v.fs, testDir, nil)
	require.NoError(t, err)
	v.segments, v.promised, v.last = names(t, v.fs, segmentExt), report.Promised, report.Last
	require.GreaterOrEqual(t, len(v.segments), 4)
	return v
}

// harm is one way to damage a log, and what must be said of it.
type harm struct {
	name   string
	do     func(t *testing.T, fs *crashfs.FS)
	file   string
	offset int64      // -1 for any
	lsn    record.LSN // 0 for any
	torn   bool       // no damage: a tail that was never promised
	mute   bool       // and nothing is left of it that looks like a frame, to be told of
}

// flip inverts one bit of a file.
func flip(file string, at int64) func(*testing.T, *crashfs.FS) {
	return func(t *testing.T, fs *crashfs.FS) {
		b := content(t, fs, file)
		b[at] ^= 1 << (at % 8)
		overwrite(t, fs, file, b)
	}
}

// overwrite changes a file in place, as a disk does behind everybody's back: who
// has it open sees it.
func overwrite(t *testing.T, fs *crashfs.FS, file string, b []byte) {
	t.Helper()
	f, err := folder{fs: fs, dir: testDir}.edit(file)
	require.NoError(t, err)
	require.NoError(t, writeAt(f, b, 0))
	require.NoError(t, syncAll(f))
	require.NoError(t, f.Close())
}

// What stands where in a frame, a header and a manifest: see there.
var (
	frameClasses = map[string]int64{
		"sum": 0, "magic": 4, "kind": 7, "segment number": 8, "sync offset": 12,
		"LSN": 16, "term": 24, "length": 32, "record sum": 36, "first byte": 40, "payload": 60,
	}
	footerClasses = map[string]int64{
		"sum": 0, "magic": 4, "kind": 7, "segment number": 8, "sync offset": 12, "LSN": 16, "term": 24, "length": 32, "roll": 36,
	}
	headerClasses = map[string]int64{
		"magic": 0, "format": 8, "capacity": 12, "cluster": 16, "number": 32, "first LSN": 40, "term": 48,
		"bytes before": 56, "previous end": 64, "chain": 68, "length of the node": 72, "node": 73, "zeros": 1000, "sum": headerSumAt,
	}
	manifestClasses = map[string]int64{"magic": 0, "array": 8, "format": 9, "cluster": 12, "node": 29}
)

// harms are all of them.
func (v victim) harms(t *testing.T) (all []harm) {
	closed, open := v.segments[1], v.segments[len(v.segments)-1]
	add := func(h harm) { all = append(all, h) }
	frames := func(where, file string, n int, torn bool) {
		for class, off := range frameClasses {
			at := v.frames[file][n]
			lsn := v.first[file] + record.LSN(n)
			if where == "the first frame" {
				lsn = v.first[file]
			}
			add(harm{name: fmt.Sprintf("%s of %s in %s", class, where, file), do: flip(file, at+off), file: file, offset: at, lsn: lsn, torn: torn, mute: torn && (class == "magic" || class == "segment number")})
		}
	}
	frames("the first frame", closed, 0, false)
	frames("a frame in the middle", closed, len(v.frames[closed])/2, false)
	frames("the last frame", closed, len(v.frames[closed])-2, false)
	frames("a frame before the promise", open, 0, false)
	frames("the last frame, unpromised,", open, len(v.frames[open])-1, true)
	for class, off := range footerClasses {
		at := v.frames[closed][len(v.frames[closed])-1]
		add(harm{name: class + " of a footer", do: flip(closed, at+off), file: closed, offset: at})
	}
	for _, file := range []string{v.segments[0], closed, open} {
		for class, off := range headerClasses {
			add(harm{name: class + " of the header of " + file, do: flip(file, off), file: file, offset: 0})
		}
	}
	for class, off := range manifestClasses {
		add(harm{name: class + " of the manifest", do: flip(manifestName, off), file: manifestName, offset: 0})
	}
	end := int64(len(content(t, v.fs, manifestName)))
	add(harm{name: "sum of the manifest", do: flip(manifestName, end-1), file: manifestName, offset: 0})
	return append(append(all, v.lost(t, closed, open)...), v.exchanged(t)...)
}

// lost are files, or parts of them, that are gone.
func (v victim) lost(t *testing.T, closed, open string) (all []harm) {
	gone := func(file string) func(*testing.T, *crashfs.FS) {
		return func(t *testing.T, fs *crashfs.FS) { drop(t, fs, file) }
	}
	shorter := func(file string, n int64) func(*testing.T, *crashfs.FS) {
		return func(t *testing.T, fs *crashfs.FS) { store(t, fs, file, content(t, fs, file)[:n]) }
	}
	for i, file := range v.segments {
		all = append(all, harm{name: fmt.Sprintf("segment %d of %d removed", i+1, len(v.segments)), do: gone(file), file: file, offset: 0, lsn: v.first[file]})
	}
	middle := v.frames[closed][len(v.frames[closed])/2]
	for name, n := range map[string]int64{"emptied": 0, "cut in the header": 100, "cut within a frame": middle + 20, "a byte short": segmentBytesMin - 1} {
		all = append(all, harm{name: "a closed segment " + name, do: shorter(closed, n), file: closed, offset: -1},
			harm{name: "the open segment " + name, do: shorter(open, min(n, segmentBytesMin-1)), file: open, offset: -1})
	}
	hole := func(file string, from, to int64) func(*testing.T, *crashfs.FS) {
		return func(t *testing.T, fs *crashfs.FS) {
			b := content(t, fs, file)
			clear(b[from:min(to, int64(len(b)))])
			overwrite(t, fs, file, b)
		}
	}
	footer := v.frames[closed][len(v.frames[closed])-1]
	return append(all,
		harm{name: "the manifest removed", do: gone(manifestName), file: manifestName, offset: 0},
		harm{name: "the manifest emptied", do: shorter(manifestName, 0), file: manifestName, offset: 0},
		harm{name: "a page of zeros in a closed segment", do: hole(closed, 4096, 8192), file: closed, offset: 4096, lsn: v.first[closed]},
		harm{name: "a sector of zeros in a closed segment", do: hole(closed, 5120, 5632), file: closed, offset: -1},
		harm{name: "a sector of zeros in the open segment", do: hole(open, 4096, 4608), file: open, offset: 4096, lsn: v.first[open]},
		harm{name: "a header of zeros", do: hole(closed, 0, 4096), file: closed, offset: 0},
		harm{name: "a footer of zeros", do: hole(closed, footer, footer+footerBytes), file: closed, offset: footer},
	)
}

// exchanged are segments that stand in the place of others.
func (v victim) exchanged(t *testing.T) []harm {
	a, b, c := v.segments[0], v.segments[1], v.segments[2]
	copied := func(from *crashfs.FS, src, dst string) func(*testing.T, *crashfs.FS) {
		return func(t *testing.T, fs *crashfs.FS) {
			if from != nil {
				store(t, fs, dst, content(t, from, src))
				return
			}
			store(t, fs, dst, content(t, fs, src))
		}
	}
	o := small(nil)
	o.Cluster[3] ^= 1
	foreign := unclean(t, o, victimRecords)
	o = small(nil)
	o.Node = "b"
	sibling := unclean(t, o, victimRecords)
	// A log with the same beginning, but other records from the second segment on.
	other := unclean(t, small(nil), 20)
	l := start(t, small(other))
	step(t, l, 1, 500, 560)
	later := clone(t, other)
	require.NoError(t, l.stop())
	next := segmentName(uint64(len(v.segments) + 1))
	return []harm{
		{name: "two segments exchanged", do: func(t *testing.T, fs *crashfs.FS) {
			x, y := content(t, fs, a), content(t, fs, b)
			store(t, fs, a, y)
			store(t, fs, b, x)
		}, file: a, offset: 0},
		{name: "a segment twice, in another's place", do: copied(nil, a, b), file: b, offset: 0},
		{name: "a segment twice, behind the last", do: copied(nil, a, next), file: next, offset: -1},
		{name: "a segment of another cluster", do: copied(foreign, b, b), file: b, offset: -1},
		{name: "a segment of another node", do: copied(sibling, b, b), file: b, offset: -1},
		{name: "a segment of another time", do: copied(later, c, c), file: c, offset: -1},
		{name: "the manifest of another cluster", do: copied(foreign, manifestName, manifestName), file: a, offset: -1},
	}
}

// found checks what an error says of the damage.
func (h harm) found(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.Contains(t, err.Error(), h.file)
	var c *CorruptError
	var f *ForeignError
	var n *FormatError
	switch {
	case errors.As(err, &c):
		require.ErrorIs(t, err, topology.ErrQuarantined)
		require.Equal(t, h.file, c.File)
		require.NotEmpty(t, c.Reason)
		require.Contains(t, c.Error(), c.Remedy)
		if h.offset >= 0 {
			require.Equal(t, h.offset, c.Offset)
		}
		if h.lsn > 0 {
			require.Equal(t, h.lsn, c.LSN)
		}
	case errors.As(err, &f):
		require.ErrorIs(t, err, topology.ErrConflict)
		require.Contains(t, f.Error(), remedyPlace)
	default:
		require.ErrorAs(t, err, &n)
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
}

// Every kind of damage, found by Verify and by Open before anything is changed,
// with the file and the offset; or, of what was never promised, cut and logged.
func TestDamageIsFoundWhereItIsAndNothingIsChanged(t *testing.T) {
	v := newVictim(t)
	for _, h := range v.harms(t) {
		t.Run(h.name, func(t *testing.T) {
			fs := clone(t, v.fs)
			h.do(t, fs)
			_, err := Verify(fs, testDir, nil)
			if !h.torn {
				h.found(t, err)
				h.found(t, refused(t, fs))
				return
			}
			require.NoError(t, err)
			o := small(fs)
			logger, said := logged()
			o.Logger = logger
			l := open(t, o)
			require.Equal(t, numbers(1, uint64(v.last)-1), held(t, l))
			require.NoError(t, l.Close())
			require.Equal(t, !h.mute, strings.Contains(said.String(), "torn tail cut"))
			require.Equal(t, !h.mute, strings.Contains(said.String(), h.file))
			reopened(t, fs, numbers(1, uint64(v.last)-1))
		})
	}
}

// The same while the log is open: what is read is what was written, up to an
// error that says where the damage is.
func TestDamageUnderAnOpenLogIsNeverRead(t *testing.T) {
	v := newVictim(t)
	for _, h := range v.harms(t) {
		t.Run(h.name, func(t *testing.T) {
			fs := clone(t, v.fs)
			l := open(t, small(fs))
			defer func() { require.NoError(t, l.Close()) }()
			h.do(t, fs)
			next := record.LSN(1)
			for e, err := range l.Read(context.Background(), 1) {
				if err != nil {
					var c *CorruptError
					require.ErrorAs(t, err, &c)
					require.Equal(t, h.lsn == 0 || h.lsn == c.LSN, true)
					require.Equal(t, next, c.LSN)
					return
				}
				require.Equal(t, next, e.LSN)
				require.Equal(t, uint64(next), number(t, e))
				next++
			}
			require.Equal(t, v.last+1, next, "where it does not concern the entries, all are read")
		})
	}
}
