package wal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// unpaced never waits.
func unpaced(ctx context.Context, _ int) error { return ctx.Err() }

func TestAScrubOfAWholeLogFindsNothingAndReadsAllOfIt(t *testing.T) {
	l := start(t, small(crashfs.New()))
	r, err := l.Scrub(t.Context(), unpaced)
	require.NoError(t, err)
	require.Empty(t, r.Damage)
	step(t, l, 1, 1, 90)
	paced := 0
	r, err = l.Scrub(t.Context(), func(_ context.Context, n int) error { paced += n; return nil })
	require.NoError(t, err)
	require.Empty(t, r.Damage)
	require.GreaterOrEqual(t, r.Segments, 4)
	require.Greater(t, r.Bytes, uint64(r.Segments-1)*(segmentBytesMin-600))
	require.Equal(t, r.Bytes, uint64(paced+len(content(t, l.d.fs, manifestName))))
	stop := errors.New("enough")
	_, err = l.Scrub(t.Context(), func(context.Context, int) error { return stop })
	require.ErrorIs(t, err, stop)
	require.NoError(t, l.stop())
	_, err = l.Scrub(t.Context(), unpaced)
	require.ErrorIs(t, err, topology.ErrClosed)
}

func TestAScrubFindsEveryKindOfDamage(t *testing.T) {
	v := newVictim(t)
	for _, h := range v.harms(t) {
		t.Run(h.name, func(t *testing.T) {
			fs := clone(t, v.fs)
			l := open(t, small(fs))
			defer func() { require.NoError(t, l.Close()) }()
			h.do(t, fs)
			r, err := l.Scrub(t.Context(), unpaced)
			require.NoError(t, err)
			if strings.Contains(h.name, "behind the last") {
				require.Empty(t, r.Damage, "it is no part of the log")
				return
			}
			require.NotEmpty(t, r.Damage)
			d := r.Damage[0]
			if h.name == "the manifest of another cluster" {
				h.file, h.offset = manifestName, 0
			}
			h.found(t, d.Err)
			if h.lsn != 0 {
				require.Equal(t, h.lsn, d.First)
			}
			require.NoError(t, l.Failed())
			again, err := l.Scrub(t.Context(), unpaced)
			require.NoError(t, err)
			if d.Number == 0 { // it was repaired
				r.Damage = r.Damage[1:]
			}
			require.Equal(t, len(r.Damage), len(again.Damage))
		})
	}
}

func TestAScrubBesideEverythingElseFindsNothing(t *testing.T) {
	for seed := range uint64(5) {
		o := newOrdeal(t, seed)
		var mu sync.Mutex // one log at a time
		done := make(chan struct{})
		var passes int
		var wait sync.WaitGroup
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				o.mu.Lock()
				l := o.l
				o.mu.Unlock()
				if l == nil {
					continue
				}
				r, err := l.Scrub(context.Background(), unpaced)
				if err != nil && !errors.Is(err, topology.ErrClosed) {
					t.Error(err)
				}
				for _, d := range r.Damage {
					t.Error(d.Err)
				}
				mu.Lock()
				passes++
				mu.Unlock()
			}
		})
		o.live(random(100))
		close(done)
		wait.Wait()
		require.NoError(t, o.err)
		require.Positive(t, passes)
	}
}

func TestADamagedSegmentIsPutAsideAndNotUsedAgain(t *testing.T) {
	fs := crashfs.New()
	l := start(t, small(fs))
	step(t, l, 1, 1, 250)
	segments := names(t, fs, segmentExt)
	require.Greater(t, len(segments), damagedKept+4)
	for _, s := range segments[:damagedKept+2] {
		flip(s, headerBytes+100)(t, fs)
	}
	damaged := content(t, fs, segments[0])
	r, err := l.Scrub(t.Context(), unpaced)
	require.NoError(t, err)
	require.Len(t, r.Damage, damagedKept+2)
	d := r.Damage[0]
	require.Equal(t, record.LSN(1), d.First)
	require.True(t, d.Closed)
	require.NoError(t, l.Truncate(topology.Range{First: r.Damage[damagedKept+1].Last + 1, Last: ^record.LSN(0)}))
	var kept []string
	for _, n := range listed(t, fs) {
		if strings.HasSuffix(n, damagedExt) {
			kept = append(kept, n)
		}
	}
	require.Len(t, kept, damagedKept)
	require.Equal(t, damaged, content(t, fs, segments[0]+damagedExt))
	again, err := l.Scrub(t.Context(), unpaced)
	require.NoError(t, err)
	require.Empty(t, again.Damage)
	step(t, l, 1, 251, 300)
	require.NoError(t, l.stop())
	require.NotEmpty(t, holds(t, fs), "and it opens again")
}
