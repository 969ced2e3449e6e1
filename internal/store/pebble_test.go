package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var quietLogger = slog.New(slog.DiscardHandler)

// operations is what edits, applied to what is in Pebble, become there.
func operations(t *testing.T, p *Pebble, edits ...topology.Edit) uint32 {
	t.Helper()
	w := &p.current.Load().writer
	f := newFront()
	f.apply(2, edits)
	defer w.batch.Reset()
	require.NoError(t, f.each(func(e entry) error { return w.place(w.batch, e) }))
	require.NoError(t, w.endWhole())
	return w.batch.Count()
}

func TestAnEditCostsNoMoreOperationsThanItMust(t *testing.T) {
	p := open(t, Options{FS: vfs.NewMem()})
	var many []topology.Edit
	for i := range wholePointsMax {
		many = append(many, put("exactly", fmt.Sprint(i), "x"), put("more", fmt.Sprint(i), "x"))
	}
	many = append(many, put("more", "one", "x"), put("one", "", "x"), put("two", "a", "x"), put("two", "b", "x"))
	for i := range 10 * wholePointsMax {
		many = append(many, put("many", fmt.Sprint(i), "x"))
	}
	require.NoError(t, p.Apply(1, many))
	require.NoError(t, p.current.Load().settle())
	wholeOf := func(key string) topology.Edit { return topology.Edit{Cell: cell(key, ""), Whole: true} }
	for _, c := range []struct {
		name  string
		edits []topology.Edit
		want  int
	}{
		{"a set", []topology.Edit{put("one", "", "y")}, 1},
		{"a removal", []topology.Edit{{Cell: cell("one", "")}}, 1},
		{"a set again and again", []topology.Edit{put("one", "", "y"), put("one", "", "z"), put("one", "", "a longer state than those")}, 1},
		{"a whole key that holds nothing", []topology.Edit{wholeOf("none")}, 0},
		{"a whole key of one cell", []topology.Edit{wholeOf("one")}, 1},
		{"a whole key of two", []topology.Edit{wholeOf("two")}, 2},
		{"a whole key of the most that go one by one", []topology.Edit{wholeOf("exactly")}, wholePointsMax},
		{"a whole key of more", []topology.Edit{wholeOf("more")}, wholePointsMax + 1},
		{"a whole key of many", []topology.Edit{wholeOf("many")}, wholePointsMax + 1},
		{"a whole key beside sets of others", []topology.Edit{put("x", "", "y"), wholeOf("none")}, 1},
		{"a whole key after a set of it", []topology.Edit{put("none", "", "y"), wholeOf("none")}, 0},
	} {
		require.EqualValues(t, c.want, operations(t, p, c.edits...), c.name)
	}
}

func TestAReplacedGenerationGoesWithItsLastSnapshot(t *testing.T) {
	fs := crashfs.New()
	p := open(t, Options{FS: fs})
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1")}))
	var snaps []topology.Snapshot
	for range 2 {
		snap, err := p.Snapshot()
		require.NoError(t, err)
		snaps = append(snaps, snap)
	}
	st, err := p.Stage("s")
	require.NoError(t, err)
	require.NoError(t, st.Install(2))
	for _, snap := range snaps {
		require.Contains(t, list(t, fs, dir), "store-000001")
		b, err := snap.Get(cell("a", ""))
		require.NoError(t, err)
		require.Equal(t, "1", string(b))
		require.NoError(t, snap.Close())
	}
	require.Equal(t, []string{"LOCK", "current", "reserve", "store-000002"}, list(t, fs, dir))
}

func TestASnapshotOutlivesTheStoreAndKeepsTheDirectory(t *testing.T) {
	fs := crashfs.New()
	o := small(Options{FS: fs})
	p, err := Open(o)
	require.NoError(t, err)
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1")}))
	snap, err := p.Snapshot()
	require.NoError(t, err)
	require.ErrorContains(t, p.Close(), "1 snapshots open")
	b, err := snap.Get(cell("a", ""))
	require.NoError(t, err)
	require.Equal(t, "1", string(b))
	_, err = Open(o)
	require.ErrorContains(t, err, "is in use")
	require.NoError(t, snap.Close())
	p, err = Open(o)
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Applied())
	require.NoError(t, p.Close())
}

func TestAllMayBeDoneAtOnce(t *testing.T) {
	p := open(t, Options{FS: crashfs.New()})
	const installs = 6
	done := make(chan struct{})
	var wg sync.WaitGroup
	spin := func(f func() error) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := f(); err != nil {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	for range 2 {
		spin(func() error {
			_, err := p.Get(cell("a", ""))
			return err
		})
	}
	spin(func() error {
		_, err := p.Flush(t.Context())
		return err
	})
	spin(func() error {
		snap, err := p.Snapshot()
		if err != nil {
			return err
		}
		defer snap.Close()
		want := fmt.Sprint(snap.Applied())
		for e, err := range snap.Scan(cell("", ""), cell("z", "")) {
			if err != nil {
				return err
			}
			if string(e.State) != want {
				return fmt.Errorf("%q at %s", e.State, want)
			}
		}
		return nil
	})
	for i := range installs {
		for range 200 {
			// The position and what is seen at it belong together, whichever
			// generation it is applied to.
			lsn := p.Applied() + 1
			state := fmt.Sprint(lsn)
			require.NoError(t, p.Apply(lsn, []topology.Edit{put("a", "", state), put("b", "", state)}))
		}
		st, err := p.Stage(fmt.Sprint(i))
		require.NoError(t, err)
		lsn := p.Applied() + 1
		require.NoError(t, st.Put([]byte("m"), []topology.Edit{put("a", "", fmt.Sprint(lsn))}))
		require.NoError(t, st.Install(lsn))
	}
	close(done)
	wg.Wait()
	require.EqualValues(t, installs*201, p.Applied())
	_, err := p.Flush(t.Context()) // closes what a Get was the last to hold
	require.NoError(t, err)
	require.Equal(t, []string{"LOCK", "current", "reserve", fmt.Sprintf("store-%06d", installs+1)}, list(t, p.o.FS, dir))
}

func TestMoreThanFitsInMemoryIsReadBackFromDisk(t *testing.T) {
	o := Options{FS: vfs.Default, Dir: t.TempDir()}
	p := open(t, o)
	rng := rand.New(rand.NewPCG(8, 8))
	want := map[string]string{}
	lsn := record.LSN(0)
	for range 300 {
		var es []topology.Edit
		for range 20 {
			key, state := fmt.Sprint(rng.IntN(3000)), strings.Repeat(fmt.Sprint(rng.IntN(10)), 1000)
			es, want[key] = append(es, put(key, "", state)), state
		}
		lsn++
		require.NoError(t, p.Apply(lsn, es))
	}
	check := func() {
		for key, state := range want {
			b, err := p.Get(cell(key, ""))
			require.NoError(t, err)
			require.Equal(t, state, string(b))
		}
	}
	check()
	require.NoError(t, p.Close())
	p = open(t, o)
	require.Equal(t, lsn, p.Applied())
	check()
}
