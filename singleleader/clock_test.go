package singleleader

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestALeaderWhoseClockIsAheadIsToldOfOnceAStream(t *testing.T) {
	var said bytes.Buffer
	now := time.Unix(1_000_000, 0)
	clock := version.NewClock(func() time.Time { return now }, 0)
	e := &engine{env: topology.Env{Clock: clock}, log: slog.New(slog.NewTextHandler(&said, nil))}
	k := &sink{s: newSinks(e)}
	ahead := version.TimestampAt(now.Add(time.Hour))
	for i := range version.Timestamp(1000) {
		k.observe(ahead + i)
	}
	require.Equal(t, ahead+999, clock.Last(), "its times are facts")
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("the leader's clock is ahead")))
}
