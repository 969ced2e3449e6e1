package demo

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// story is an output that calls what is waited for as soon as a text was written
// to it, on the goroutine that writes.
type story struct {
	bytes.Buffer
	on map[string]func()
}

func (s *story) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	for text, f := range s.on {
		if strings.Contains(s.String(), text) {
			delete(s.on, text)
			f()
		}
	}
	return n, err
}

// when has f called once text was written.
func (s *story) when(text string, f func()) {
	if s.on == nil {
		s.on = map[string]func(){}
	}
	s.on[text] = f
}

// playing returns a demo that has not begun, and its output.
func playing(t *testing.T, o Options) (*demo, *story) {
	t.Helper()
	out := &story{}
	o.Once, o.Out, o.Err, o.Failover = true, out, &bytes.Buffer{}, promote
	d, err := newDemo(o)
	require.NoError(t, err)
	return d, out
}

// promote finds the node by its status, as the command does.
func promote(ctx context.Context, endpoints []string, to topology.NodeID, force bool) (topology.Promotion, error) {
	c, err := client.Dial(endpoints, client.Options{})
	if err != nil {
		return topology.Promotion{}, err
	}
	defer func() { _ = c.Close() }()
	for _, addr := range endpoints {
		if s, err := c.StatusOf(ctx, addr); err == nil && s.Node == to {
			return c.Promote(ctx, addr, force)
		}
	}
	return topology.Promotion{}, topology.ErrUnavailable
}
