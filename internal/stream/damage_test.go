package stream

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// damage flips one bit in the middle of a segment that somebody has open.
func damage(t *testing.T, fs vfs.FS, segment string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(fs.PathJoin("/log", segment), "test")
	require.NoError(t, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 4
	_, err = f.WriteAt(b[:], at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// strict is a sink that takes only what the log was given.
type strict struct {
	*taker
	t *testing.T
}

func (k strict) check(a *Append) {
	for _, e := range a.Entries {
		r, err := e.Record()
		require.NoError(k.t, err)
		require.EqualValues(k.t, e.LSN, r.Seq)
		require.Equal(k.t, make([]byte, 100), r.Mutations[0].Value)
	}
}

// What the transport's own sums let through is found by the snapshot's.
func TestAFlippedBitInAChunkIsRefused(t *testing.T) {
	c := Chunk{}
	for i, key := range []string{"a", "b", "key"} {
		e := topology.Edit{Cell: record.Cell{Table: 16 + record.TableID(i), Key: []byte(key), Field: []byte("f")}, State: []byte("state")}
		c.Edits = append(c.Edits, e)
		c.Mark = c.Mark.With(e)
		c.Mark.Last = e.Cell
	}
	w := pack.NewWriter(nil)
	c.encode(w)
	for at := range w.Bytes() {
		for bit := range 8 {
			b := slices.Clone(w.Bytes())
			b[at] ^= 1 << bit
			var got Chunk
			if decodeAs(b, kindChunk, &got) != nil {
				continue
			}
			if m, err := (Mark{}).Over(&got); err == nil {
				require.Equal(t, c.Edits, got.Edits, "offset %d, bit %d", at, bit)
				require.Equal(t, c.Mark, m, "and the mark is what the cells say")
				require.False(t, got.Done)
			}
		}
	}
}

func TestAStoreThatHasLessThanTheDamagedLogCanNotStandInForIt(t *testing.T) {
	fs := vfs.NewMem()
	log, _ := sourceOn(t, fs, 400)
	damage(t, fs, "0000000000000001.seg", 4096+40+60)
	s := newTestSender(log, store.NewMemory(), Limits{})
	k := &taker{store: store.NewMemory()}
	for range 2 {
		require.ErrorIs(t, connect(t, s, k, 0, func() bool { return false }), topology.ErrQuarantined)
		require.Zero(t, k.end)
		require.Zero(t, k.installs)
	}
	require.NoError(t, s.Close())
}

func TestADamagedLogIsNotStreamed(t *testing.T) {
	for name, at := range map[string]int64{"a payload": 4096 + 40 + 60, "a frame's sum": 4096, "a length": 4096 + 32, "a record's sum": 4096 + 36} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			log, st := sourceOn(t, fs, 400)
			names, err := fs.List("/log")
			require.NoError(t, err)
			names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".seg") })
			slices.Sort(names)
			require.Greater(t, len(names), 2)
			var before record.LSN // the damage
			_, err = wal.Verify(fs, "/log", func(s wal.SegmentReport) {
				if s.File == names[1] {
					before = s.First - 1
				}
			})
			require.NoError(t, err)
			damage(t, fs, names[1], at)
			s := newTestSender(log, st, Limits{BatchBytesMax: 2 << 10})
			k := &taker{store: store.NewMemory()}
			k.seen = strict{k, t}.check
			err = connect(t, s, k, 0, func() bool { return false })
			require.ErrorIs(t, err, topology.ErrQuarantined)
			require.NotErrorIs(t, err, io.EOF)
			require.ErrorContains(t, err, names[1])
			require.LessOrEqual(t, k.end, before)
			require.Zero(t, k.installs)

			// The next connection gets from the store what the log no longer has.
			err = connect(t, s, k, 0, k.has(400))
			require.Equal(t, 1, k.installs, "%v", err)
			require.EqualValues(t, 400, k.end)
			require.NoError(t, s.Close())
		})
	}
}
