package store

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// disk is a file system that asks before every operation.
type disk struct {
	vfs.FS
	mem *crashfs.FS
	ask atomic.Pointer[func(errorfs.Op) error]
}

func newDisk(mem *crashfs.FS) *disk {
	d := &disk{mem: mem}
	d.FS = errorfs.Wrap(d.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if ask := d.ask.Load(); ask != nil {
			return (*ask)(op)
		}
		return nil
	}))
	return d
}

func (d *disk) on(ask func(errorfs.Op) error) { d.ask.Store(&ask) }
func (d *disk) off()                          { d.ask.Store(nil) }

// changes reports whether an operation changes what is on the disk.
func changes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileClose, errorfs.OpLock, errorfs.OpFilePreallocate:
		return false
	}
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite
}

// tally counts how often a failure is told.
type tally struct {
	mu   sync.Mutex
	errs []error
}

func (f *tally) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *tally) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs
}

func cell(key, field string) record.Cell {
	return record.Cell{Table: record.TableFirst, Key: []byte(key), Field: []byte(field)}
}

func put(key, field, state string) topology.Edit {
	return topology.Edit{Cell: cell(key, field), State: []byte(state)}
}

// A life is a store's story, told twice: the second half begins with an
// Install that goes back. Everything in the store follows from which half it is
// in and its position, so that any state found after a crash can be judged.
const (
	lifeEnd     = 60  // of each half
	lifeInstall = 30  // the position that the Install goes to
	lifeChunks  = 3   // of the stage
	lifePadding = 8e3 // bytes a batch, so that buffers fill up by themselves
)

// lifeEdits are what a life applies at a position.
func lifeEdits(lsn int) []topology.Edit {
	es := []topology.Edit{
		put(fmt.Sprint("k", lsn%11), "", fmt.Sprint(lsn)),
		put("h", fmt.Sprint(lsn%50), fmt.Sprint(lsn)),
		put("pad", fmt.Sprint(lsn%7), strings.Repeat("x", lifePadding)),
	}
	if lsn%5 == 0 {
		es = append(es, topology.Edit{Cell: cell(fmt.Sprint("k", (lsn+4)%11), ""), Whole: true})
	}
	return es
}

// lifeChunk is the i-th chunk of the snapshot that is installed.
func lifeChunk(i int) []topology.Edit {
	es := []topology.Edit{put("half", "", "2")}
	for n := range 100 {
		es = append(es, put(fmt.Sprint("c", i), fmt.Sprint(n), strings.Repeat("y", 100)))
	}
	return es
}

func lifeExpected(half string, applied record.LSN) map[string]string {
	m := map[string]string{}
	do := func(es []topology.Edit) {
		for _, e := range es {
			if e.Whole {
				for k := range m {
					if strings.HasPrefix(k, string(e.Key)+"/") {
						delete(m, k)
					}
				}
				continue
			}
			m[string(e.Key)+"/"+string(e.Field)] = string(e.State)
		}
	}
	from := 1
	if half == "2" {
		for i := range lifeChunks {
			do(lifeChunk(i))
		}
		from = lifeInstall + 1
	}
	for lsn := from; lsn <= int(applied); lsn++ {
		do(lifeEdits(lsn))
	}
	return m
}

// judge finds that what is in the store is what its life says.
func judge(t *testing.T, p *Pebble) (half string, applied record.LSN) {
	t.Helper()
	snap, err := p.Snapshot()
	require.NoError(t, err)
	defer func() { require.NoError(t, snap.Close()) }()
	b, err := snap.Get(cell("half", ""))
	require.NoError(t, err)
	got := map[string]string{}
	for e, err := range snap.Scan(record.Cell{}, record.Cell{Table: 1 << 31}) {
		require.NoError(t, err)
		got[string(e.Key)+"/"+string(e.Field)] = string(e.State)
	}
	require.Equal(t, lifeExpected(string(b), snap.Applied()), got, "half %q at %d", b, snap.Applied())
	have, want, back := p.WentBack()
	require.False(t, back, "have %d, want %d", have, want)
	return string(b), snap.Applied()
}

// progress is how far a life is known to be durable.
type progress struct{ half, lsn int }

// live lives a life, as far as it gets, and tells what has become durable.
func live(t *testing.T, p *Pebble, durable func(progress)) error {
	flush := func(half int) error {
		lsn, err := p.Flush(t.Context())
		if err == nil {
			durable(progress{half, int(lsn)})
		}
		return err
	}
	apply := func(half, from, to int) error {
		for lsn := from; lsn <= to; lsn++ {
			if err := p.Apply(record.LSN(lsn), lifeEdits(lsn)); err != nil {
				return err
			}
			if lsn%15 == 0 {
				if err := flush(half); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := apply(1, 1, lifeEnd/2); err != nil {
		return err
	}
	old, err := p.Snapshot()
	if err != nil {
		return err
	}
	defer old.Close()
	st, err := p.Stage("life")
	if err != nil {
		return err
	}
	defer st.Close()
	for i := range lifeChunks {
		if err := st.Put([]byte{byte(i)}, lifeChunk(i)); err != nil {
			return err
		}
	}
	if err := apply(1, lifeEnd/2+1, lifeEnd); err != nil {
		return err
	}
	if err := st.Install(lifeInstall); err != nil {
		return err
	}
	durable(progress{2, lifeInstall})
	if err := old.Close(); err != nil {
		return err
	}
	return apply(2, lifeInstall+1, lifeEnd)
}

// lifeGoesOn ends the story of a store that came back from a crash: in the
// first half the stage is resumed and installed.
func lifeGoesOn(t *testing.T, p *Pebble) {
	t.Helper()
	half, _ := judge(t, p)
	if half == "2" {
		return
	}
	st, err := p.Stage("life")
	require.NoError(t, err)
	from := 0
	if mark := st.Resume(); mark != nil {
		from = int(mark[0]) + 1
	}
	for i := from; i < lifeChunks; i++ {
		require.NoError(t, st.Put([]byte{byte(i)}, lifeChunk(i)))
	}
	require.NoError(t, st.Install(lifeInstall))
	half, _ = judge(t, p)
	require.Equal(t, "2", half)
}
