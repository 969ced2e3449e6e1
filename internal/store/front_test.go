package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// anyEdits draws edits of few cells, so that they meet each other.
func anyEdits() *rapid.Generator[[]topology.Edit] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) topology.Edit {
		e := topology.Edit{Cell: record.Cell{
			Table: record.TableID(rapid.SampledFrom([]uint32{1, 16, 1 << 20}).Draw(t, "table")),
			Key:   []byte(rapid.SampledFrom([]string{"a", "a\x00", "ab", "long enough to differ behind its head"}).Draw(t, "key")),
			Field: []byte(rapid.SampledFrom([]string{"", "f", "\x00\x02"}).Draw(t, "field")),
		}}
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			e.Whole = true
		case 1: // removed
		default:
			e.State = bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{0, 1, 2, 7, 8, 9, 10, 200, 300, 2000, 3000, 20_000}).Draw(t, "bytes"))
			e.State = append(e.State, byte(rapid.IntRange(0, 255).Draw(t, "state")))
		}
		return e
	}), 0, 12)
}

// model is what a store should hold, by physical key.
type model map[string]string

func (m model) apply(edits []topology.Edit) {
	for _, e := range edits {
		switch {
		case e.Whole:
			from, past := string(appendCell(nil, record.Cell{Table: e.Table, Key: e.Key})), string(pastOf(e.Cell))
			for k := range m {
				if from <= k && k < past {
					delete(m, k)
				}
			}
		case e.State == nil:
			delete(m, string(appendCell(nil, e.Cell)))
		default:
			m[string(appendCell(nil, e.Cell))] = string(e.State)
		}
	}
}

// A store is told edits and, between them, to move them on in every way there
// is; it always holds what the model does.
func TestWhatIsAppliedIsSeenWhereverItStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := Open(small(Options{FS: vfs.NewMem()}))
		require.NoError(t, err)
		defer func() { require.NoError(t, p.Close()) }()
		want := model{}
		ever := map[string]record.Cell{}
		check := func(get func(record.Cell) ([]byte, error)) {
			for k, c := range ever {
				b, err := get(c)
				require.NoError(t, err)
				state, ok := want[k]
				require.Equal(t, ok, b != nil, "%v", c)
				require.True(t, state == string(b), "%v", c)
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			edits := anyEdits().Draw(t, "edits")
			for _, e := range edits {
				ever[string(appendCell(nil, e.Cell))] = record.Cell{Table: e.Table, Key: e.Key, Field: e.Field}
			}
			want.apply(edits)
			require.NoError(t, p.Apply(p.Applied()+1, edits))
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				require.NoError(t, p.current.Load().settle())
			case 1:
				_, err := p.Flush(t.Context())
				require.NoError(t, err)
			case 2:
				s, err := p.Snapshot()
				require.NoError(t, err)
				require.Equal(t, p.Applied(), s.Applied())
				check(s.Get)
				var found []string
				for e, err := range s.Scan(record.Cell{}, record.Cell{Table: 1 << 30}) {
					require.NoError(t, err)
					found = append(found, string(appendCell(nil, e.Cell)))
				}
				require.True(t, slices.IsSorted(found))
				require.Len(t, found, len(want))
				require.NoError(t, s.Close())
			}
			check(p.Get)
		}
	})
}

func TestAFrontKeepsItsMemoryForTheNext(t *testing.T) {
	f := newFront()
	fill := func() {
		for i := range 3 {
			f.apply(1, []topology.Edit{
				put(fmt.Sprint("small", i), "", "x"),
				put(fmt.Sprint("half", i), "", strings.Repeat("y", chunkBytes*2/3)),
				put(fmt.Sprint("large", i), "", strings.Repeat("z", 2*chunkBytes)),
			})
		}
	}
	fill()
	f.reset()
	require.Zero(t, f.bytes)
	_, known := f.get(appendCell(nil, cell("small0", "")), 0)
	require.False(t, known)
	kept := f.arena[:cap(f.arena)]
	for _, c := range kept {
		require.Contains(t, []int{0, chunkBytes}, cap(c), "what was large is not kept")
	}
	fill()
	for i := range 3 {
		for _, name := range []string{"small", "half", "large"} {
			key := appendCell(nil, cell(fmt.Sprint(name, i), ""))
			state, known := f.get(key, len(key))
			require.True(t, known)
			require.NotEmpty(t, state)
		}
	}
}

// Positions are 32 bits: the worst that Apply lets in stays within them.
func TestAFrontOfTheLargestOptionsHasRoomForItsPositions(t *testing.T) {
	most := frontBytesOf(memTableBytesMax) + batchBytesMax
	// A chunk is left when the next entry does not fit: then the two together
	// are longer than a chunk.
	require.Less(t, 2*most/chunkBytes+2, 1<<(32-chunkBits))
}

// heldBack is a store on a disk that stands still until it is released.
func heldBack(t *testing.T) (p *Pebble, release func(error)) {
	d := newDisk(crashfs.New())
	p = open(t, Options{FS: d})
	gate, once := make(chan struct{}), sync.Once{}
	var result error
	d.on(func(op errorfs.Op) error {
		if changes(op) {
			<-gate
			return result
		}
		return nil
	})
	release = func(err error) { once.Do(func() { result = err; close(gate) }) }
	t.Cleanup(func() { release(nil) })
	return p, release
}

func TestAFullFrontGoesToPebbleByItself(t *testing.T) {
	p, _ := heldBack(t)
	l := p.current.Load().layers
	state := strings.Repeat("x", l.most/4)
	for i := range 5 {
		require.NoError(t, p.Apply(p.Applied()+1, []topology.Edit{put(fmt.Sprint(i), "", state)}))
	}
	l.pen <- struct{}{} // waits for the one on its way
	<-l.pen
	b, err := p.stored(p.current.Load(), p.current.Load().db, appendCell(nil, cell("0", "")))
	require.NoError(t, err)
	require.Equal(t, state, string(b))
	for i := range 5 {
		b, err := p.Get(cell(fmt.Sprint(i), ""))
		require.NoError(t, err)
		require.Equal(t, state, string(b))
	}
}

func TestWhatWasAppliedIsReadWhileAFrontMovesAndAfterItFailed(t *testing.T) {
	p := open(t, Options{FS: vfs.NewMem()})
	g := p.current.Load()
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1"), put("b", "", "1"), put("k", "f", "1")}))
	f := g.layers.start()
	require.NotNil(t, f)
	require.Nil(t, g.layers.empty)
	get := func(c record.Cell) string {
		key := appendCell(nil, c)
		b, known := g.layers.get(key, len(key)-len(c.Field))
		if !known {
			return "?"
		}
		return string(b)
	}
	require.Equal(t, "1", get(cell("a", "")), "on its way")
	g.layers.apply(2, []topology.Edit{put("a", "", "2"), {Cell: cell("b", "")}, {Cell: cell("k", ""), Whole: true}})
	require.Equal(t, []string{"2", "", "", "?"}, []string{get(cell("a", "")), get(cell("b", "")), get(cell("k", "f")), get(cell("c", ""))})

	// Nothing of it was placed when the disk failed: it stays where it is.
	g.fence.fail(syscall.EIO)
	require.Error(t, g.settle())
	require.Equal(t, "2", get(cell("a", "")))
	require.Same(t, f, g.layers.moving)
	require.ErrorIs(t, p.Failed(), syscall.EIO)
}

func TestWhoeverClosesWaitsForAFrontThatMoves(t *testing.T) {
	for _, cause := range []error{nil, syscall.EIO} {
		p, release := heldBack(t)
		l := p.current.Load().layers
		state := strings.Repeat("x", l.most+1)
		applied := make(chan error, 1)
		go func() {
			for range 3 * writeBuffersMax {
				if err := p.Apply(p.Applied()+1, []topology.Edit{put("a", "", state)}); err != nil {
					applied <- err
					return
				}
			}
			applied <- nil
		}()
		require.Eventually(t, func() bool { return len(l.pen) == 1 && l.full() }, 10*time.Second, time.Millisecond)
		release(cause)
		err := <-applied
		if cause == nil {
			require.NoError(t, err)
		} else {
			require.True(t, errors.Is(err, topology.ErrStoreFailed), "%v", err)
		}
		if err := p.Close(); cause == nil {
			require.NoError(t, err)
		}
	}
}
