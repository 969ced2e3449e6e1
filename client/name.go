package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// laneWidth is how many writes of one lane may be under way: half of what a group
// remembers of each client, so that none is forgotten before it arrives.
const laneWidth = 32

// lane is one client as the group counts them (rule S17): a name drawn at random, and
// sequences that grow. It carries few writes at once, as a group remembers few of each.
type lane struct {
	client, next uint64
	open         []uint64 // sequences of the writes under way
}

// lanes name a client's writes, of which as many may be under way as there are callers.
type lanes struct {
	now    func() time.Time
	random func() uint64

	mu  sync.Mutex // guards all; a leaf
	all []*lane
}

func newLanes() *lanes { return &lanes{now: time.Now, random: rand.Uint64} }

// take names a write.
func (l *lanes) take() record.RequestID {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.all {
		if len(n.open) == 0 {
			// What is of now is younger than what the group has forgotten of others.
			n.next = max(n.next, l.time())
		} else if n.next-slices.Min(n.open) >= laneWidth {
			continue
		}
		return n.take()
	}
	n := &lane{client: max(l.random(), 1), next: l.time()}
	l.all = append(l.all, n)
	return n.take()
}

func (l *lanes) time() uint64 { return uint64(max(l.now().UnixNano(), 1)) }

func (n *lane) take() record.RequestID {
	id := record.RequestID{Client: n.client, Seq: n.next}
	n.next++
	n.open = append(n.open, id.Seq)
	return id
}

// give says that a write is under way no more. If it is not known what became of it, its
// lane takes no others, which would push it out of what is remembered.
func (l *lanes) give(id record.RequestID, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(n *lane) bool { return n.client == id.Client })
	switch {
	case i < 0: // given up before
	case !known:
		l.all = slices.Delete(l.all, i, i+1)
	default:
		l.all[i].open = slices.DeleteFunc(l.all[i].open, func(seq uint64) bool { return seq == id.Seq })
	}
}

// send sends a write under the name that its caller gave it, or one of the client's own,
// by which it is sent again until it is known what became of it.
func (c carrier) send(ctx context.Context, method string, w *call.Wishes, opts []Option, encode func([]Option) []byte) ([]byte, error) {
	switch {
	case w.Has(call.WishRequest):
		answer, err := c.Client.ask(ctx, named, method, encode(opts))
		return answer, nameOf(err, w.Request())
	case c.options.Unnamed || c.nameless.Load():
		return c.Client.ask(ctx, writes, method, encode(opts))
	}
	id := c.lanes.take()
	answer, err := c.Client.ask(ctx, ours, method, encode(append(slices.Clone(opts), Request(id.Client, id.Seq))))
	c.lanes.give(id, err == nil || topology.OutcomeOf(err) == topology.NotApplied)
	unsupported := errors.Is(err, topology.ErrUnsupported)
	if topology.OutcomeOf(err) != topology.NotApplied || !unsupported && !errors.Is(err, topology.ErrForgotten) {
		return answer, nameOf(err, id)
	}
	// The group takes no names, or has forgotten so many clients of later clocks that it
	// takes this one's for an old one: then without.
	answer, err = c.Client.ask(ctx, writes, method, encode(opts))
	if unsupported && !errors.Is(err, topology.ErrUnsupported) {
		c.nameless.Store(true)
	}
	return answer, err
}

// nameOf adds the name of a write to an error that leaves its outcome open.
func nameOf(err error, id record.RequestID) error {
	if err == nil || topology.OutcomeOf(err) == topology.NotApplied {
		return err
	}
	e := topology.Error{Outcome: topology.Unknown, Err: err}
	var given *topology.Error
	if errors.As(err, &given) && err == error(given) {
		e = *given
	}
	e.Request = id
	return &e
}

// ResolveRequest tells what became of a write whose outcome is Unknown by its name, the
// Request of the error: also where no node has said its dot, as when the caller's time
// ran out. It settles it: after FateNotApplied the write is refused if it comes late, and
// it may be made again as a new one. Ask once nobody waits for the write any more. One
// that is too old to be known is topology.ErrForgotten.
func (c *Client) ResolveRequest(ctx context.Context, id record.RequestID) (topology.Resolution, error) {
	answer, err := c.ask(ctx, named, call.MethodSettle, call.EncodeRequest(id))
	var r topology.Resolution
	if err == nil {
		r, err = call.DecodeResolution(answer)
	}
	if err != nil {
		return topology.Resolution{}, errorOf("resolve", "", nil, nameOf(err, id))
	}
	return r, nil
}
