package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// Options configure a client. The zero value works for a cluster of the default
// name.
type Options struct {
	// Cluster is the cluster's name; default "triad".
	Cluster string
	// Name names this client to the nodes, for their logs; default none.
	Name topology.NodeID
	// Dial connects to a node; default TCP. Where TLS is set, it goes through what
	// Dial returns.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// TLS shows the nodes who this client is, and proves who they are; default
	// none. Its certificate names it by the URI triad://CLUSTER/client/NAME, and
	// Name, if it is set, is that NAME.
	TLS TLS
	// RedirectsMax is how often one call follows the name of a leader; default 4.
	RedirectsMax int
	// AttemptsMax is how often one call is sent, or tried to be sent, to nodes
	// that cannot take it; default 8.
	AttemptsMax int
	// RetryMin is the pause after a first such attempt, doubled from there to
	// RetryMax; default 20 ms and 1 s.
	RetryMin, RetryMax time.Duration
	// Logger hears what an operator should; default nobody.
	Logger *slog.Logger
}

// TLS says where a client's certificate comes from: CA, Cert and Key name files in
// PEM, which are read again as they change, or Server and Client are a pair of
// configurations, of which only Client is used.
type TLS = secure.Source

// AddressesMax is how many addresses one client may be given.
const AddressesMax = 32

const namedMax = 16 // addresses that only nodes named

func (o Options) withDefaults() (Options, error) {
	if o.Cluster == "" {
		o.Cluster = "triad"
	}
	if o.RedirectsMax == 0 {
		o.RedirectsMax = 4
	}
	if o.AttemptsMax == 0 {
		o.AttemptsMax = 8
	}
	if o.RetryMin == 0 {
		o.RetryMin = 20 * time.Millisecond
	}
	if o.RetryMax == 0 {
		o.RetryMax = max(time.Second, o.RetryMin)
	}
	var faults []error
	if o.RedirectsMax < 0 || o.AttemptsMax < 0 {
		faults = append(faults, fmt.Errorf("redirects and attempts: %d, %d: a negative limit", o.RedirectsMax, o.AttemptsMax))
	}
	if o.RetryMin < 0 || o.RetryMax < o.RetryMin {
		faults = append(faults, fmt.Errorf("retry: from %v to %v is no range", o.RetryMin, o.RetryMax))
	}
	return o, errors.Join(faults...)
}

// Client speaks to a cluster. Its methods may be called from any goroutine.
type Client struct {
	options   Options
	transport *transport.Transport
	given     []string // the addresses of Dial
	end       context.CancelFunc
	ending    <-chan struct{} // closed by Close
	ended     chan struct{}   // closed when the transport has ended

	mu    sync.Mutex // guards addrs; a leaf
	addrs []string   // those given and some that nodes named; the one to ask first
}

// Dial returns a client of the cluster whose nodes listen on addrs; any one of
// them is enough to find the leader. It connects when it is first used. Close
// ends what it starts.
func Dial(addrs []string, o Options) (*Client, error) {
	o, err := o.withDefaults()
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: %w", err)
	case len(addrs) == 0 || len(addrs) > AddressesMax:
		return nil, fmt.Errorf("client: %d addresses: 1 to %d expected", len(addrs), AddressesMax)
	case slices.Contains(addrs, ""):
		return nil, errors.New("client: an empty address")
	}
	config := transport.Config{
		Self: o.Name, Role: topology.PeerClient, Identity: transport.Ephemeral(o.Cluster), Dial: o.Dial, Logger: o.Logger,
	}
	if o.TLS.Given() {
		self := secure.Name{Cluster: o.Cluster, Role: topology.PeerClient, ID: o.Name}
		if config.Guard, err = secure.Open(secure.Options{Source: o.TLS, Self: self, Logger: o.Logger}); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	t, err := transport.New(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	c := &Client{
		options: o, transport: t, given: slices.Clone(addrs), addrs: slices.Clone(addrs),
		end: end, ending: ctx.Done(), ended: make(chan struct{}),
	}
	go func() {
		defer close(c.ended)
		_ = t.Run(ctx) // without a listener it ends with ctx alone
	}()
	return c, nil
}

// Close ends the calls that are under way and every connection. It may be called
// again.
func (c *Client) Close() error {
	c.end()
	<-c.ended
	return nil
}

// purpose says whether a call may be sent again though it may have arrived.
type purpose uint8

const (
	writes purpose = iota // no: it might happen twice
	named                 // it has a Request, and happens once (rule S17)
	reads
)

// ask sends a call until a node has taken it, and returns the answer.
func (c *Client) ask(ctx context.Context, p purpose, method string, req []byte) ([]byte, error) {
	var d doubt
	redirects, pause := 0, c.options.RetryMin
	for attempt := 1; ; attempt++ {
		addr := c.first()
		answer, err := c.transport.CallAddr(ctx, addr, method, req)
		if err == nil {
			return answer, nil
		}
		if p == named {
			err = d.about(err)
		}
		if ctx.Err() != nil || !again(err, p) {
			return nil, err
		}
		if leader := leaderOf(err); leader != "" && leader != addr {
			if redirects++; redirects > c.options.RedirectsMax {
				return nil, err
			}
			c.prefer(leader)
			attempt--
			continue
		}
		if attempt >= c.options.AttemptsMax {
			return nil, err
		}
		c.pass(addr)
		if !c.sleep(ctx, pause) {
			return nil, err
		}
		pause = min(2*pause, c.options.RetryMax)
	}
}

// askAt sends a call to the node at addr alone, until it can be reached.
func (c *Client) askAt(ctx context.Context, addr, method string, req []byte) ([]byte, error) {
	pause := c.options.RetryMin
	for attempt := 1; ; attempt++ {
		answer, err := c.transport.CallAddr(ctx, addr, method, req)
		if err == nil || attempt >= c.options.AttemptsMax || !c.unreached(err) || !c.sleep(ctx, pause) {
			return answer, err
		}
		pause = min(2*pause, c.options.RetryMax)
	}
}

// unreached reports whether an error says that no node was reached: it is this
// side's own, and nothing was sent.
func (c *Client) unreached(err error) bool {
	var e *topology.Error
	return errors.As(err, &e) && e.Node == c.options.Name && e.Outcome == topology.NotApplied && errors.Is(err, topology.ErrUnavailable)
}

// again reports whether a call that failed so may be sent again, to another
// node or later.
func again(err error, p purpose) bool {
	if topology.OutcomeOf(err) != topology.NotApplied && p == writes {
		return false
	}
	if p == named && errors.Is(err, topology.ErrTimeout) { // the other side's: nothing was decided
		return true
	}
	for _, passing := range []error{topology.ErrNotLeader, topology.ErrUnavailable, topology.ErrOverloaded, topology.ErrClosed, topology.ErrFailed} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// leaderOf returns the address of the leader that an error names.
func leaderOf(err error) string {
	var e *topology.Error
	if !errors.Is(err, topology.ErrNotLeader) || !errors.As(err, &e) {
		return ""
	}
	return e.Addr
}

// first returns the address to ask.
func (c *Client) first() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addrs[0]
}

// prefer makes addr the one to ask. Beside the addresses that were given, those
// of the last leaders that were named are kept, namedMax of them.
func (c *Client) prefer(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	named := 0
	if !slices.Contains(c.given, addr) {
		named = 1
	}
	c.addrs = slices.DeleteFunc(c.addrs, func(a string) bool {
		if a == addr {
			return true
		}
		if slices.Contains(c.given, a) {
			return false
		}
		named++
		return named > namedMax
	})
	c.addrs = slices.Insert(c.addrs, 0, addr)
}

// pass puts addr behind the others.
func (c *Client) pass(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.addrs[0] == addr {
		c.addrs = append(c.addrs[1:], addr)
	}
}

// sleep waits, and reports whether ctx and the client lasted.
func (c *Client) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-c.ending:
	}
	return false
}

// errorOf returns err as the caller of an operation gets it.
func errorOf(op, table string, key []byte, err error) error {
	return call.Named(err, op, "", table, key)
}
