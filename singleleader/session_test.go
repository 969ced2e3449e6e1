package singleleader

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// lostTail is an asynchronous group in which a led, wrote what b and c never got, and
// was replaced by b by force. It returns the token of the last of the lost writes, and
// that of a write of b after it. Nobody runs.
func lostTail(t *testing.T) (c *testCluster, lost, next topology.Token) {
	c = newCluster(t, Options{}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	w, err := c.nodes["a"].put("shipped", "v")
	require.NoError(t, err)
	c.applied(w.LSN, "a", "b", "c")
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	for _, key := range []string{"x", "y", "z"} {
		w, err = c.nodes["a"].put(key, "lost")
		require.NoError(t, err)
	}
	c.applied(w.LSN, "a")
	lost = w.Token
	c.nodes["a"].stop()
	c.start("b", "c")
	_, err = c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	c.leads("b")
	w, err = c.nodes["b"].put("next", "v")
	require.NoError(t, err)
	require.Less(t, w.LSN, lost.LSN)
	c.applied(w.LSN, "b", "c")
	c.nodes["b"].stop()
	c.nodes["c"].stop()
	return c, lost, w.Token
}

// session reads a key at a in the session of a token.
func (c *testCluster) session(ctx context.Context, key string, t topology.Token) error {
	_, err := c.nodes["a"].Read(ctx, record.TableDefault, []byte(key), topology.ReadOptions{Guarantee: topology.ReadSession, After: t})
	return err
}

func TestASessionReadWaitsBehindALostTail(t *testing.T) {
	c, lost, next := lostTail(t)
	c.start("a")
	c.applied(lost.LSN, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.session(ctx, "next", next)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.ErrorContains(t, err, "has not followed since")
	require.NoError(t, c.session(t.Context(), "x", lost), "nothing took its place here yet")

	read := make(chan error, 1)
	go func() { read <- c.session(t.Context(), "next", next) }()
	c.start("b", "c")
	require.NoError(t, <-read, "the tail was taken back, and the read goes on")
	require.ErrorIs(t, c.session(t.Context(), "x", lost), topology.ErrRewound)
}

// heldLog does not cut while it is held.
type heldLog struct {
	topology.GroupLog
	cutting, release chan struct{}
}

func (l *heldLog) Truncate(r topology.Range) error {
	close(l.cutting)
	<-l.release
	return l.GroupLog.Truncate(r)
}

func TestASessionReadWaitsOutASnapshot(t *testing.T) {
	c, lost, _ := lostTail(t)
	held := &heldLog{cutting: make(chan struct{}), release: make(chan struct{})}
	release := sync.OnceFunc(func() { close(held.release) })
	t.Cleanup(release)
	c.nodes["a"].wrap = func(l topology.GroupLog) topology.GroupLog { held.GroupLog = l; return held }
	c.startAll()
	<-held.cutting // the store is that of the snapshot, the log still that of the tail
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.session(ctx, "x", lost), topology.ErrTimeout)
	release()
	require.ErrorIs(t, c.session(t.Context(), "x", lost), topology.ErrRewound)
}
