package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
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
	// Reads says which nodes answer Get and Scan; default the one that took the last
	// call.
	Reads Routing
	// RefreshEvery is how old what the client knows of the nodes may be when it is
	// used: they are then asked again, all at once; default 5 s. After a failure
	// they are asked at once. A client that is not used asks nobody.
	RefreshEvery time.Duration
	// Unnamed sends writes without names (rule S17), unless a caller names one: a write
	// whose answer is lost is then not sent again. By default the client names each of
	// its writes, and one whose outcome is not known yet is sent again under its name,
	// as often as AttemptsMax says, and happens once.
	Unnamed bool
	// LeaderWait is how long a named write waits for an answer until the others are
	// asked who leads. If that is another one by then, the write is sent there under
	// its name; if not it goes on waiting; default 2 s.
	LeaderWait time.Duration
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
	if o.RefreshEvery == 0 {
		o.RefreshEvery = 5 * time.Second
	}
	if o.RetryMin == 0 {
		o.RetryMin = 20 * time.Millisecond
	}
	if o.LeaderWait == 0 {
		o.LeaderWait = 2 * time.Second
	}
	if o.RetryMax == 0 {
		o.RetryMax = max(time.Second, o.RetryMin)
	}
	var faults []error
	if o.RedirectsMax < 0 || o.AttemptsMax < 0 {
		faults = append(faults, fmt.Errorf("redirects and attempts: %d, %d: a negative limit", o.RedirectsMax, o.AttemptsMax))
	}
	if o.LeaderWait < 0 {
		faults = append(faults, fmt.Errorf("leader wait: %v is no time to wait", o.LeaderWait))
	}
	if o.RefreshEvery < 0 {
		faults = append(faults, fmt.Errorf("refresh: every %v is no interval", o.RefreshEvery))
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
	addrs     addresses
	reads     *router // of Options.Reads
	cluster   cluster
	lanes     *lanes
	nameless  atomic.Bool // the cluster takes no names
	end       context.CancelFunc
	ending    <-chan struct{} // closed by Close
	ended     chan struct{}   // closed when the transport has ended
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
		options: o, transport: t, addrs: addresses{given: slices.Clone(addrs), all: slices.Clone(addrs)},
		lanes: newLanes(), end: end, ending: ctx.Done(), ended: make(chan struct{}),
	}
	c.cluster.call, c.cluster.addrs = t.CallAddr, &c.addrs
	if c.reads, err = newRouter(c, o.Reads); err != nil {
		end()
		return nil, fmt.Errorf("client: %w", err)
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
	c.cluster.close()
	return nil
}

// purpose says whether a call may be sent again though it may have arrived.
type purpose uint8

const (
	writes purpose = iota // no: it might happen twice
	named                 // it has a Request, and happens once (rule S17)
	ours                  // the same, and the Request is this client's own: nobody has sent it before
	reads
)

// once reports whether a call that is sent again happens once all the same.
func (p purpose) once() bool { return p == named || p == ours }

// ask sends a call until a node has taken it, and returns the answer.
func (c *Client) ask(ctx context.Context, p purpose, method string, req []byte) ([]byte, error) {
	answer, _, err := carrier{c}.ask(ctx, 0, p, method, req)
	return answer, err
}

// carrier is a client as it carries a call to a node.
type carrier struct{ *Client }

// ask is [Client.ask], and returns the address of the node that has taken the call. Who
// takes longer than wait is passed over, while there is another; 0 is no limit.
func (c carrier) ask(ctx context.Context, wait time.Duration, p purpose, method string, req []byte) ([]byte, string, error) {
	var d doubt
	redirects, pause := 0, c.options.RetryMin
	for attempt := 1; ; attempt++ {
		c.cluster.freshen(c.options.RefreshEvery)
		addr := c.addrs.first()
		if p != reads {
			addr = cmp.Or(c.cluster.leads(), addr) // a node that does not lead would name it
		}
		var answer []byte
		var late bool
		var err error
		if p.once() {
			answer, late, err = c.callWatching(ctx, addr, method, req)
		} else {
			answer, late, err = c.callWithin(ctx, wait, addr, method, req)
		}
		c.cluster.note(addr, late || unreached(err, c.options.Name))
		if err == nil {
			if p != reads {
				c.addrs.prefer(addr)
			}
			return answer, addr, nil
		}
		if p == ours && !d.is && errors.Is(err, topology.ErrForgotten) {
			return nil, "", call.NotApplied(err) // it was never sent before
		}
		if p.once() {
			err = d.about(err)
		}
		if ctx.Err() != nil || !late && !again(err, p) {
			return nil, "", err
		}
		if leader := leaderOf(err); leader != "" && leader != addr {
			if redirects++; redirects > c.options.RedirectsMax {
				return nil, "", err
			}
			c.addrs.prefer(leader)
			c.cluster.follow(err)
			attempt--
			continue
		}
		if attempt >= c.options.AttemptsMax {
			return nil, "", err
		}
		c.addrs.pass(addr)
		c.cluster.doubt(addr)
		c.cluster.begin()
		if !c.sleep(ctx, pause) {
			return nil, "", err
		}
		pause = min(2*pause, c.options.RetryMax)
	}
}

// callWithin sends a call to a node that is to answer within wait, unless it is the only
// one. late reports that it has not.
func (c carrier) callWithin(ctx context.Context, wait time.Duration, addr, method string, req []byte) (answer []byte, late bool, err error) {
	if wait <= 0 || !c.addrs.several() {
		answer, err = c.transport.CallAddr(ctx, addr, method, req)
		return answer, false, err
	}
	within, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err = c.transport.CallAddr(within, addr, method, req)
	return answer, isLate(within, err) && ctx.Err() == nil, err
}

// isLate reports whether a call failed as the time that it had within its context was over.
// The node that was asked knows how long it is waited for, and its clock may be the first of
// the two to say so.
func isLate(within context.Context, err error) bool {
	return err != nil && (within.Err() != nil || errors.Is(err, topology.ErrTimeout))
}

// callWatching sends a call to who leads. While it is not answered the others are asked
// now and then who does; late reports that it was given up because another one does.
func (c carrier) callWatching(ctx context.Context, addr, method string, req []byte) (answer []byte, late bool, err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := c.cluster.reign()
	var watching sync.WaitGroup
	watching.Add(1)
	timer := time.AfterFunc(c.options.LeaderWait, func() {
		defer watching.Done()
		for c.cluster.surveyed(within, 0); within.Err() == nil; c.cluster.surveyed(within, 0) {
			if to := c.cluster.leads(); c.cluster.reign() > began && to != "" && to != addr {
				cancel(errMoved)
			} else if !c.sleep(within, c.options.LeaderWait) {
				return
			}
		}
	})
	answer, err = c.transport.CallAddr(within, addr, method, req)
	late = err != nil && context.Cause(within) == errMoved
	cancel(nil)
	if timer.Stop() {
		watching.Done()
	}
	watching.Wait()
	return answer, late, err
}

var errMoved = errors.New("another node leads")

// askAt sends a call to the node at addr alone, until it can be reached.
func (c *Client) askAt(ctx context.Context, addr, method string, req []byte) ([]byte, error) {
	pause := c.options.RetryMin
	for attempt := 1; ; attempt++ {
		answer, err := c.transport.CallAddr(ctx, addr, method, req)
		if err == nil || attempt >= c.options.AttemptsMax || !unreached(err, c.options.Name) || !c.sleep(ctx, pause) {
			return answer, err
		}
		pause = min(2*pause, c.options.RetryMax)
	}
}

// unreached reports whether an error says that no node was reached: it is this
// side's own, and nothing was sent.
func unreached(err error, self topology.NodeID) bool {
	var e *topology.Error
	return errors.As(err, &e) && e.Node == self && e.Outcome == topology.NotApplied && errors.Is(err, topology.ErrUnavailable)
}

// again reports whether a call that failed so may be sent again, to another
// node or later.
func again(err error, p purpose) bool {
	if topology.OutcomeOf(err) != topology.NotApplied && p == writes {
		return false
	}
	if p.once() && errors.Is(err, topology.ErrTimeout) { // the other side's: nothing was decided
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
