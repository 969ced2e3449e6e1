package singleleader

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// lateLog is a log that does not know its cluster at first.
type lateLog struct {
	topology.GroupLog
	refuse int
}

func (l *lateLog) Append(term uint64, rs ...record.Record) (record.LSN, error) {
	if l.refuse > 0 {
		l.refuse--
		return 0, errors.Join(topology.ErrUnavailable, errors.New("its cluster is not known yet"))
	}
	return l.GroupLog.Append(term, rs...)
}

// Whoever waits to see what is committed is not left waiting by a node that ends.
func TestAReadThatWaitsIsAnsweredWhenTheNodeEnds(t *testing.T) {
	c := newCluster(t, Options{Replica: Replica{ApplyDelay: time.Hour}}, "a")
	c.startAll()
	c.leads("a")
	a := c.nodes["a"]
	_, err := a.put("k", "v")
	require.NoError(t, err)
	answered := make(chan error, 1)
	go func() {
		_, err := a.Read(context.Background(), record.TableDefault, []byte("k"), topology.ReadOptions{})
		answered <- err
	}()
	eventually(t, "the read waits", func() bool { return a.applier.waiting.Load() == 1 })
	a.stop()
	require.ErrorIs(t, <-answered, topology.ErrClosed)
}

func TestALeaderWhoseLogIsNotReadyStartsALaterTerm(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.nodes["a"].wrap = func(l topology.GroupLog) topology.GroupLog { return &lateLog{GroupLog: l, refuse: 2} }
	c.startAll()
	c.leads("a")
	_, err := c.nodes["a"].put("k", "v")
	require.NoError(t, err)
	require.EqualValues(t, 3, c.nodes["a"].Status().Term)
}
