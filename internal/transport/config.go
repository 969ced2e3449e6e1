package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Identity is what a node or client knows of its cluster. It is safe for
// concurrent use. A node's is its data directory; a client may use [Ephemeral].
type Identity interface {
	// ClusterName returns the configured name.
	ClusterName() string
	// Cluster returns the cluster's id, once it is known.
	Cluster() (id [16]byte, known bool)
	// Adopt makes id the cluster's id for good, durably before it returns. It
	// is an error where another one is known.
	Adopt(id [16]byte) error
}

// Config says who a transport is and what it works with.
type Config struct {
	Self topology.NodeID   // a client may have none
	Role topology.PeerRole // 0 is PeerNode
	Life uint64            // of the data directory (C1); 0 for a client

	Identity   Identity
	Listener   net.Listener                                             // bound by the caller, closed by Run; nil: dial only
	Dial       func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
	Guard      Guard                                                    // nil: connections are plain
	Membership topology.Membership                                      // nil for a client that knows addresses only
	Limits     Limits
	Logger     *slog.Logger // nil: nothing is logged
}

// Limits bounds what a transport holds and waits for. Zero means the default
// that stands beside each.
type Limits struct {
	FrameBytesMax     int // payload of one frame: 17 MiB and 64 KiB, so that it holds a record
	InFlightMax       int // calls of ours without an answer, per connection: 4096
	QueueBytesMax     int // bytes waiting to be written, per control connection: 32 MiB; a single frame may pass it
	HandlersMax       int // calls being answered at once, per connection: 1024
	RequestBytesMax   int // of requests being received or answered, over all connections: 256 MiB
	StreamsPerPeerMax int // streams one node has open to us: 64
	ConnsMax          int // accepted connections: 4096
	ConnsPerIPMax     int // of which from one address: 1024
	ClientsMax        int // of which of clients, so that nodes find room: 3072
	HandshakesMax     int // accepted connections that have not said who they are: 256
	AddrsMax          int // connections dialled by address alone: 64
	CompressAbove     int // bytes of a stream's message above which it is compressed, if that makes it shorter: 0, never

	HandshakeTimeout time.Duration // to dial and to be let in: 5 s
	ReadTimeout      time.Duration // of silence, until a connection is given up: 6 s
	WriteTimeout     time.Duration // for the next 256 KiB of what is sent: 6 s
	ProbeTimeout     time.Duration // for the answer of a connection that is asked whether it lives: 1 s
	LingerTimeout    time.Duration // for the other side to read what was sent before Close: 2 s
	ConnAgeMax       time.Duration // of a connection with a Guard, whose certificates are looked at once: 6 h
	BackoffMin       time.Duration // after a first failed dial: 20 ms, doubled from there
	BackoffMax       time.Duration // to 500 ms
}

// What FrameBytesMax may be set to: any error must fit, and a length.
const (
	frameBytesFloor   = topology.ErrorBytesMax + letterRoom
	frameBytesCeiling = 1 << 30
)

// beatsPerTimeout is how many beats are lost before a connection is silent.
const beatsPerTimeout = 3

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	setTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.FrameBytesMax, record.RecordBytesMax+64<<10)
	set(&l.InFlightMax, 4096)
	set(&l.QueueBytesMax, 32<<20)
	set(&l.HandlersMax, 1024)
	set(&l.RequestBytesMax, 256<<20)
	set(&l.StreamsPerPeerMax, 64)
	set(&l.ConnsMax, 4096)
	set(&l.ConnsPerIPMax, 1024)
	set(&l.ClientsMax, 3072)
	set(&l.HandshakesMax, 256)
	set(&l.AddrsMax, 64)
	setTime(&l.HandshakeTimeout, 5*time.Second)
	setTime(&l.ReadTimeout, 6*time.Second)
	setTime(&l.WriteTimeout, 6*time.Second)
	setTime(&l.ProbeTimeout, time.Second)
	setTime(&l.LingerTimeout, 2*time.Second)
	setTime(&l.ConnAgeMax, 6*time.Hour)
	setTime(&l.BackoffMin, 20*time.Millisecond)
	setTime(&l.BackoffMax, 500*time.Millisecond)
	return l
}

func (l Limits) check() error {
	for _, n := range []int{
		l.FrameBytesMax, l.InFlightMax, l.QueueBytesMax, l.HandlersMax, l.RequestBytesMax, l.StreamsPerPeerMax,
		l.ConnsMax, l.ConnsPerIPMax, l.ClientsMax, l.HandshakesMax, l.AddrsMax, l.CompressAbove,
	} {
		if n < 0 {
			return errors.New("a limit is negative")
		}
	}
	for _, d := range []time.Duration{
		l.HandshakeTimeout, l.ReadTimeout, l.WriteTimeout, l.ProbeTimeout, l.LingerTimeout, l.ConnAgeMax, l.BackoffMin, l.BackoffMax,
	} {
		if d < 0 {
			return errors.New("a time-out is negative")
		}
	}
	if l.FrameBytesMax < frameBytesFloor || l.FrameBytesMax > frameBytesCeiling {
		return fmt.Errorf("FrameBytesMax %d is not within %d and %d", l.FrameBytesMax, frameBytesFloor, frameBytesCeiling)
	}
	if l.RequestBytesMax < l.FrameBytesMax {
		return fmt.Errorf("RequestBytesMax %d is less than FrameBytesMax %d", l.RequestBytesMax, l.FrameBytesMax)
	}
	if l.BackoffMin > l.BackoffMax {
		return fmt.Errorf("BackoffMin %v is more than BackoffMax %v", l.BackoffMin, l.BackoffMax)
	}
	if l.ProbeTimeout >= l.HandshakeTimeout {
		return fmt.Errorf("ProbeTimeout %v must be less than HandshakeTimeout %v: who asks to be let in waits for the probe", l.ProbeTimeout, l.HandshakeTimeout)
	}
	return nil
}

// beat is how long a connection is quiet in one direction before a beat is sent.
func (l Limits) beat() time.Duration { return max(l.ReadTimeout/beatsPerTimeout, time.Millisecond) }

// complete returns c with its defaults filled in, or what is wrong with it.
func (c Config) complete() (Config, error) {
	if c.Role == 0 {
		c.Role = topology.PeerNode
	}
	c.Limits = c.Limits.withDefaults()
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	node := c.Role == topology.PeerNode
	switch {
	case c.Identity == nil:
		return c, errors.New("no identity")
	case len(c.Identity.ClusterName()) > nameBytesMax:
		return c, fmt.Errorf("cluster name of %d bytes is more than %d", len(c.Identity.ClusterName()), nameBytesMax)
	case !node && c.Role != topology.PeerClient:
		return c, fmt.Errorf("role %d: one of node, client", c.Role)
	case node && !c.Self.Valid(), !node && c.Self != "" && !c.Self.Valid():
		return c, fmt.Errorf("%q is no node id", c.Self)
	case node && c.Life == 0:
		return c, errors.New("a node needs the life of its data directory")
	case node && c.Membership == nil:
		return c, errors.New("a node needs a membership")
	case !node && c.Listener != nil:
		return c, errors.New("a client does not listen")
	case !node && c.Life != 0:
		return c, errors.New("a client has no life")
	}
	return c, c.Limits.check()
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
