package store

import (
	"context"
	"fmt"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

// place is the directory that an operation on a path changes.
func place(p string) string {
	if _, ok := parseGeneration(path.Base(p)); ok {
		return p
	}
	return path.Dir(p)
}

func refusesEverything(t *testing.T, p *Pebble) {
	t.Helper()
	want := p.Failed()
	require.Equal(t, want, p.Apply(1000, []topology.Edit{put("a", "", "x")}))
	_, err := p.Get(cell("a", ""))
	require.Equal(t, want, err)
	_, err = p.Flush(t.Context())
	require.Equal(t, want, err)
	_, err = p.Snapshot()
	require.Equal(t, want, err)
	_, err = p.Stage("s")
	require.Equal(t, want, err)
}

// reads reports whether an operation reads a table.
func reads(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileReadAt && path.Ext(op.Path) == ".sst"
}

// onDisk is a store whose cells are in tables, not in memory.
func onDisk(t *testing.T, d *disk, o Options) *Pebble {
	o.FS = d
	p, err := Open(small(o))
	require.NoError(t, err)
	for lsn := 1; lsn <= lifeEnd; lsn++ {
		require.NoError(t, p.Apply(p.Applied()+1, lifeEdits(lsn)))
	}
	require.NoError(t, p.Close())
	return open(t, o)
}

func TestAReadErrorFailsTheStore(t *testing.T) {
	cases := map[string]func(p *Pebble) error{
		"Get": func(p *Pebble) error {
			_, err := p.Get(cell("k1", ""))
			return err
		},
		"removal of a whole key": func(p *Pebble) error {
			if err := p.Apply(1000, []topology.Edit{{Cell: cell("k1", ""), Whole: true}}); err != nil {
				return err
			}
			_, err := p.Flush(t.Context())
			return err
		},
		"Scan": func(p *Pebble) error {
			snap, err := p.Snapshot()
			if err != nil {
				return err
			}
			defer snap.Close()
			for _, err = range snap.Scan(cell("", ""), cell("z", "")) {
			}
			return err
		},
	}
	for name, read := range cases {
		t.Run(name, func(t *testing.T) {
			var told tally
			d := newDisk(crashfs.New())
			p := onDisk(t, d, Options{OnFailure: told.tell})
			d.on(func(op errorfs.Op) error {
				if reads(op) {
					return syscall.EIO
				}
				return nil
			})
			err := read(p)
			require.ErrorIs(t, err, topology.ErrStoreFailed)
			require.ErrorIs(t, err, syscall.EIO)
			require.Equal(t, err, p.Failed())
			refusesEverything(t, p)
			require.NoError(t, p.Close())
			require.Len(t, told.all(), 1)
		})
	}
}

func TestADamagedTableIsNeverReadInSilence(t *testing.T) {
	d := newDisk(crashfs.New())
	p := onDisk(t, d, Options{})
	require.NoError(t, p.Close())
	for _, name := range tables(t, d, "data/store/store-000001") {
		b, err := d.mem.Mem().UnsafeGetFileDataBuffer(name)
		require.NoError(t, err)
		for i := 0; i < min(len(b), 100); i += 8 {
			b[i] ^= 1
		}
	}
	logger, log := errorLog()
	p, err := Open(small(Options{FS: d, Logger: logger}))
	if err != nil {
		return // the damage was met while opening
	}
	_, err = p.Get(cell("k1", ""))
	require.ErrorIs(t, err, topology.ErrStoreFailed)
	refusesEverything(t, p)
	require.NoError(t, p.Close())
	require.Empty(t, log.String(), "damage is no broken invariant")
}

func tables(t *testing.T, fs vfs.FS, dir string) []string {
	t.Helper()
	names, err := fs.List(dir)
	require.NoError(t, err)
	var out []string
	for _, name := range names {
		if path.Ext(name) == ".sst" {
			out = append(out, fs.PathJoin(dir, name))
		}
	}
	require.NotEmpty(t, out)
	return out
}

func TestAStageFailsAlone(t *testing.T) {
	d := newDisk(crashfs.New())
	p := open(t, Options{FS: d})
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1")}))
	st, err := p.Stage("s")
	require.NoError(t, err)
	require.NoError(t, st.Put([]byte("first"), []topology.Edit{put("b", "", "2")}))
	d.on(func(op errorfs.Op) error {
		if changes(op) && place(op.Path) == "data/store/store-000002" {
			return syscall.ENOSPC
		}
		return nil
	})
	for range 2 {
		err = st.Put([]byte("second"), []topology.Edit{put("c", "", "3")})
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.NotErrorIs(t, err, topology.ErrStoreFailed)
	}
	require.ErrorIs(t, st.Install(9), syscall.ENOSPC)
	require.NoError(t, p.Apply(2, []topology.Edit{put("a", "", "2")}))
	lsn, err := p.Flush(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, lsn)
	require.NoError(t, p.Failed())
	require.NoError(t, st.Close())

	d.off()
	st, err = p.Stage("s")
	require.NoError(t, err)
	require.Equal(t, "first", string(st.Resume()))
	require.NoError(t, st.Install(9))
	b, err := p.Get(cell("b", ""))
	require.NoError(t, err)
	require.Equal(t, "2", string(b))
}

// fullBuffers applies until Apply waits, on a disk that makes no progress.
func fullBuffers(t *testing.T, d *disk, p *Pebble) (done chan error, release func(error)) {
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
	buffers := func() uint64 { return p.current.Load().db.Metrics().MemTable.Size }
	done = make(chan error, 1)
	state := strings.Repeat("x", 8000)
	go func() {
		for i := range 1000 {
			if err := p.Apply(p.Applied()+1, []topology.Edit{put(fmt.Sprint(i), "", state)}); err != nil {
				done <- err
				return
			}
			if size := buffers(); size > 2*writeBuffersMax*memTableBytesMin {
				done <- fmt.Errorf("buffers of %d bytes", size)
				return
			}
		}
		done <- nil
	}()
	require.Eventually(t, func() bool { return buffers() >= writeBuffersMax*memTableBytesMin }, 10*time.Second, time.Millisecond)
	return done, release
}

func TestApplyWaitsForTheDiskWithItsBuffersFull(t *testing.T) {
	d := newDisk(crashfs.New())
	p := open(t, Options{FS: d})
	done, release := fullBuffers(t, d, p)
	release(nil)
	require.NoError(t, <-done)
}

func TestApplyStopsWaitingForADiskThatFails(t *testing.T) {
	d := newDisk(crashfs.New())
	p := open(t, Options{FS: d})
	done, release := fullBuffers(t, d, p)
	release(syscall.EIO)
	require.ErrorIs(t, <-done, topology.ErrStoreFailed)
	require.NoError(t, p.Close())
}

func TestApplyWaitsForTheCompactionWithReadsTooDeep(t *testing.T) {
	d := newDisk(crashfs.New())
	p := open(t, Options{FS: d})
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	d.on(func(op errorfs.Op) error {
		if reads(op) { // as a compaction does and a flush does not
			<-gate
		}
		return nil
	})
	depth := func() int { return int(p.current.Load().db.Metrics().Levels[0].Sublevels) }
	done := make(chan error, 1)
	state := strings.Repeat("x", memTableBytesMin/2)
	go func() {
		for range 3 * sublevelsMax {
			if err := p.Apply(p.Applied()+1, []topology.Edit{put("a", "", state), put("z", "", state)}); err != nil {
				done <- err
				return
			}
			if _, err := p.Flush(t.Context()); err != nil {
				done <- err
				return
			}
			if n := depth(); n > sublevelsMax+2 {
				done <- fmt.Errorf("%d layers", n)
				return
			}
		}
		done <- nil
	}()
	require.Eventually(t, func() bool { return depth() >= sublevelsMax }, 10*time.Second, time.Millisecond)
	release()
	require.NoError(t, <-done)
}

func TestAFlushThatIsGivenUpGoesOn(t *testing.T) {
	d := newDisk(crashfs.New())
	p := open(t, Options{FS: d})
	gate := make(chan struct{})
	d.on(func(op errorfs.Op) error {
		if changes(op) {
			<-gate
		}
		return nil
	})
	require.NoError(t, p.Apply(1, []topology.Edit{put("a", "", "1")}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := p.Flush(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, p.Failed())
	close(gate)
	lsn, err := p.Flush(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, lsn)
}
