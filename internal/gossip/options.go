package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Options are what a user may say of gossip. The zero value is no gossip.
type Options struct {
	// Listen is the address of the gossip port, UDP and TCP; empty for no gossip.
	// Port 0 takes one that is free.
	Listen string
	// Join are gossip ports of other nodes, asked in this order; this node's own is
	// passed over. One that answers is enough.
	Join []string
	// Advertise is where others reach the gossip port; default where it is
	// bound. It is needed where Listen names all interfaces.
	Advertise string
	// Peers is where others reach the peers port; default what the configuration
	// says of this node if it is bound there, else where it is bound.
	Peers string
	// Keys encrypt gossip: the first what is sent, all of them what comes. So a
	// key is changed in three steps: append the new one everywhere, put it first
	// everywhere, drop the old one. Without a key gossip is neither secret nor
	// authenticated, and listens on loopback alone.
	Keys []Key
	// ProbeEvery is how often a member is probed, from which all other times
	// follow; default 1 s. A member of a small cluster that fell silent has
	// failed some five probes later.
	ProbeEvery time.Duration
	// Net replaces the operating system's network, for tests.
	Net Net
}

// Net is what a gossip port needs of a network. An address is an IP address and a
// port.
type Net interface {
	Listen(addr string) (net.Listener, error)
	ListenPacket(addr string) (net.PacketConn, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// system is the operating system's network.
type system struct{}

func (system) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (system) ListenPacket(addr string) (net.PacketConn, error) { return net.ListenPacket("udp", addr) }

func (system) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// On reports whether gossip is wanted.
func (o *Options) On() bool { return o.Listen != "" }

// Check returns every fault of the options, with its field.
func (o *Options) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !o.On() {
		if len(o.Join) > 0 {
			fault("join: seeds are for gossip, and gossip.listen names no address for it")
		}
		if o.Advertise != "" || o.Peers != "" || len(o.Keys) > 0 || o.ProbeEvery != 0 {
			fault("gossip.listen: none was named, and other options of gossip are set")
		}
		return errors.Join(faults...)
	}
	for _, a := range []struct {
		field, addr string
		bound       bool
	}{{"listen", o.Listen, true}, {"advertise", o.Advertise, false}, {"peers", o.Peers, false}} {
		if a.addr == "" {
			continue
		}
		if err := checkAddr(a.addr, a.bound); err != nil {
			fault("gossip.%s: %w", a.field, err)
		}
	}
	if len(o.Keys) > KeysMax {
		fault("gossip.keys: %d are more than %d", len(o.Keys), KeysMax)
	}
	for i, k := range o.Keys {
		if k == (Key{}) {
			fault("gossip.keys[%d]: it is of zeros only", i)
		}
		if slices.Index(o.Keys, k) != i {
			fault("gossip.keys[%d]: it is there twice", i)
		}
	}
	if o.ProbeEvery != 0 && o.ProbeEvery < probeEveryMin {
		fault("gossip.probe_every: %v is less than %v", o.ProbeEvery, probeEveryMin)
	}
	if len(o.Join) > SeedsMax {
		fault("join: %d seeds are more than %d", len(o.Join), SeedsMax)
	}
	for i, s := range o.Join {
		if err := checkAddr(s, false); err != nil {
			fault("join[%d]: %w", i, err)
		}
	}
	return errors.Join(faults...)
}

// Identity is what is known of the cluster. It may be asked from any goroutine.
type Identity interface {
	ClusterName() string
	// Cluster returns the cluster's id, false as long as it is not known.
	Cluster() (id [16]byte, known bool)
}

// Env is what a node says of itself.
type Env struct {
	Self        topology.NodeID
	Life        uint64            // of the data directory
	Members     []topology.Member // of the configuration, this node included; an address may be missing
	Peers       string            // where this node's peers port is bound
	Identity    Identity
	Known       <-chan struct{} // closed once the cluster's id is known
	ProtocolMin uint64          // of the peers port
	ProtocolMax uint64
	Logger      *slog.Logger
}
