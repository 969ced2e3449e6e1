//go:build unix

package transport

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// BenchmarkIdle is three nodes, in one process over TCP, that are all connected
// with each other, by calls and by two streams in each direction, and have
// nothing to say. It reports the share of a core that the whole takes.
func BenchmarkIdle(b *testing.B) {
	f := newFleet(b, tcpWires{})
	var nodes []*node
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		n := f.node(id)
		serveEcho(n)
		n.HandleStream("echo", echoStream)
		nodes = append(nodes, n)
	}
	f.run(nodes...)
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			_, err := from.Call(within(b), to.id, "echo", nil)
			require.NoError(b, err)
			for range 2 {
				s, err := from.Open(within(b), to.id, "echo")
				require.NoError(b, err)
				go func() { _, _ = s.Recv() }()
				b.Cleanup(func() { _ = s.Close() })
			}
		}
	}
	const watched = 20 * time.Second
	for b.Loop() {
		before, from := cpu(b), time.Now()
		time.Sleep(watched)
		b.ReportMetric(100*float64(cpu(b)-before)/float64(time.Since(from)), "%-of-a-core")
	}
	b.ReportMetric(0, "ns/op")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
