package link

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

func TestADelayedConnectionIsAConnection(t *testing.T) {
	for name, o := range map[string]Options{
		"without a delay": {},
		"with a delay":    {Delay: time.Millisecond},
		"with jitter":     {Delay: 500 * time.Microsecond, Jitter: 500 * time.Microsecond, Seed: 1},
	} {
		for _, side := range []string{"the end that dials", "the end that listens"} {
			t.Run(name+" at "+side, func(t *testing.T) {
				t.Parallel()
				nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) { return connected(t, o, side == "the end that dials") })
			})
		}
	}
}

// connected makes a connection over the loopback of which one end is delayed.
func connected(t *testing.T, o Options, dials bool) (a, b net.Conn, stop func(), err error) {
	l, err := New(o, o)
	require.NoError(t, err)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := inner
	d := &Dialer{}
	if dials {
		d.Links = map[string]*Link{inner.Addr().String(): l}
	} else {
		listener = l.Listener(inner)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			accepted <- c
		}
	}()
	a, err = d.Dial(t.Context(), inner.Addr().String())
	require.NoError(t, err)
	b = <-accepted
	return a, b, func() {
		_ = a.Close() // closed by the test or now
		_ = b.Close()
		require.NoError(t, listener.Close())
		require.NoError(t, l.Drain(t.Context()))
	}, nil
}
