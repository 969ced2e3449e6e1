package store

import (
	"bytes"
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

func unpaced(ctx context.Context, _ int) error { return ctx.Err() }

func TestAScrubOfAWholeStoreReadsAllTables(t *testing.T) {
	fs, _ := told(t)
	p := open(t, Options{FS: fs})
	sizes := uint64(0)
	for _, name := range tables(t, fs, first) {
		sizes += uint64(len(slurp(t, fs, name)))
	}
	paced := uint64(0)
	r, err := p.Scrub(t.Context(), func(_ context.Context, n int) error { paced += uint64(n); return nil })
	require.NoError(t, err)
	require.Positive(t, r.Tables)
	require.Equal(t, paced, r.Bytes)
	require.Greater(t, r.Bytes, sizes*8/10)
	stop := errors.New("enough")
	_, err = p.Scrub(t.Context(), func(context.Context, int) error { return stop })
	require.ErrorIs(t, err, stop)
	require.NoError(t, p.Failed())
	require.NoError(t, p.Close())
	_, err = p.Scrub(t.Context(), unpaced)
	require.ErrorIs(t, err, topology.ErrClosed)
}

func TestAScrubFindsDamageAndTheStoreFails(t *testing.T) {
	fs, _ := told(t)
	for _, file := range append(tables(t, fs, first), dir+"/"+pointerName) {
		original := slurp(t, fs, file)
		for _, at := range places(len(original)) {
			image := fs.PowerCut()
			var told tally
			p, err := Open(small(Options{FS: image, OnFailure: told.tell}))
			require.NoError(t, err)
			b := bytes.Clone(original)
			b[at] ^= 1 << (at % 8)
			writeFile(t, image, file, string(b))
			_, err = p.Scrub(t.Context(), unpaced)
			if err == nil { // Pebble has no sum over some bytes of a table's footer, and reads none of them again
				require.Contains(t, file, ".sst")
				require.Greater(t, at, len(original)-64, "%s, offset %d of %d", file, at, len(original))
				require.NoError(t, p.Close())
				continue
			}
			var d *DamageError
			require.ErrorAs(t, err, &d)
			require.ErrorIs(t, err, topology.ErrQuarantined)
			require.ErrorIs(t, err, topology.ErrStoreFailed)
			require.Equal(t, file, d.File)
			require.ErrorContains(t, err, "catch up from its peers")
			refusesEverything(t, p)
			_ = p.Close()
		}
	}
}

func TestAScrubBesideWritesCompactionsAndAnInstallFindsNothing(t *testing.T) {
	p := open(t, Options{FS: crashfs.New()})
	done := make(chan error, 1)
	go func() {
		for i := 1; i <= 40; i++ {
			es := []topology.Edit{put(fmt.Sprint("k", i%7), "", strings.Repeat("x", 50_000))}
			if err := p.Apply(record.LSN(i), es); err != nil {
				done <- err
				return
			}
			if _, err := p.Flush(context.Background()); err != nil {
				done <- err
				return
			}
		}
		st, err := p.Stage("s")
		if err == nil {
			err = st.Put([]byte("1"), []topology.Edit{put("a", "", "1")})
		}
		if err == nil {
			err = st.Install(50)
		}
		done <- err
	}()
	passes := 0
	for {
		_, err := p.Scrub(t.Context(), unpaced)
		require.NoError(t, err)
		passes++
		select {
		case err := <-done:
			require.NoError(t, err)
			require.Positive(t, passes)
			return
		default:
		}
	}
}
