package raft

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// New returns a builder of the backend.
func New(o Options) topology.ControlBuilder {
	return func(env topology.ControlEnv) (topology.Control, error) { return open(env, o) }
}

// Control is the backend at one node. It is safe for concurrent use.
type Control struct {
	options Options
	env     topology.ControlEnv
	logger  *slog.Logger
	timing  timing
	self    server
	disk    *disk // nil at a client
	known   *known
	turns   chan struct{} // taken by changes that are asked for
	pen     chan struct{} // taken by who writes down which group this is
	session uint64
	done    chan struct{} // closed when Run has returned
	number  atomic.Uint64 // of the last change that was asked for
	away    atomic.Pointer[topology.NodeID]

	mu       sync.Mutex // a leaf; guards what follows
	running  bool
	founding founding
	seat     *seat // nil at a client, and until raft runs
	hints    hints
	claims   map[topology.NodeID]*registration
	problem  string
}

// hints say whom to ask.
type hints struct {
	last topology.NodeID // who answered last
	next int             // of the voters, if nobody is known to lead
}

// disk is what a voter keeps.
type disk struct {
	logs      *logStore
	stable    *stableStore
	snapshots *snapshotStore
}

var (
	_ topology.Control         = (*Control)(nil)
	_ topology.Seeder          = (*Control)(nil)
	_ topology.Steerer         = (*Control)(nil)
	_ topology.ControlReporter = (*Control)(nil)
)

func open(env topology.ControlEnv, o Options) (*Control, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if !env.Self.Valid() || env.Life == 0 || env.Stable == nil || env.Transport == nil {
		return nil, errors.New("control: the host lends too little: a node's name, the life of its directory, a stable and a transport are needed")
	}
	c := &Control{
		options: o, env: env, logger: cmp.Or(env.Logger, slog.New(slog.DiscardHandler)), timing: timingOf(o.Heartbeat),
		self: server{env.Self, env.Life}, known: newKnown(), turns: make(chan struct{}, ProposalsMax),
		pen: make(chan struct{}, 1), done: make(chan struct{}), claims: map[topology.NodeID]*registration{},
	}
	var session [8]byte
	_, _ = rand.Read(session[:]) // it does not fail
	c.session = binary.BigEndian.Uint64(session[:])
	if c.founding, err = loadFounding(env.Stable); err != nil {
		return nil, err
	}
	if c.known.electors, err = loadElectors(env.Stable); err != nil {
		return nil, err
	}
	if had := c.founding.voters; len(had) > 0 && !slices.Equal(had, o.Voters) && !slices.Equal(c.known.electors, o.Voters) {
		return nil, fmt.Errorf("control: the configuration names the voters %v, and this directory belongs to a group of %v: they are exchanged by `triad member`, and then in the configurations", o.Voters, had)
	}
	if slices.Contains(o.Voters, env.Self) {
		if err := c.openDisk(); err != nil {
			return nil, err
		}
	}
	for _, m := range questionMethods {
		env.Transport.HandleCall(m, topology.PeerNode, func(ctx context.Context, from topology.Peer, req []byte) ([]byte, error) {
			return c.hear(ctx, from, m, req)
		})
	}
	for _, m := range messageMethods {
		env.Transport.HandleCall(m, topology.PeerNode, func(ctx context.Context, from topology.Peer, req []byte) ([]byte, error) {
			s := c.sits()
			if s == nil {
				return nil, fail(m, topology.NotApplied, fmt.Errorf("no voter runs here: %w", topology.ErrUnavailable))
			}
			return s.lines.take(ctx, from, m, req)
		})
	}
	return c, nil
}

func (c *Control) openDisk() (err error) {
	if c.env.OpenLog == nil {
		return fmt.Errorf("control: %s is a voter, and its host has no disk to keep a voter's log on: %w", c.env.Self, topology.ErrUnsupported)
	}
	log, err := c.env.OpenLog("control")
	if err != nil {
		return fmt.Errorf("control: the log of this voter: %w", err)
	}
	d := &disk{logs: newLogStore(log)}
	if d.stable, err = openStableStore(c.env.Stable); err != nil {
		return err
	}
	d.snapshots, err = openSnapshotStore(c.env.Stable)
	c.disk = d
	return err
}

// FirstLeader implements topology.Seeder.
func (c *Control) FirstLeader() topology.NodeID { return c.options.Leader }

// Steer implements topology.Steerer.
func (c *Control) Steer(away topology.NodeID) { c.away.Store(&away) }

// Run implements topology.Control. At a voter it fails if raft does: if the disk
// does, or if this directory was replaced by another one.
func (c *Control) Run(ctx context.Context) error {
	c.mu.Lock()
	ran := c.running
	c.running = true
	c.mu.Unlock()
	if ran {
		return fmt.Errorf("control: it runs already, or did: %w", topology.ErrConflict)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	defer close(c.done)
	defer wait.Wait()
	defer cancel()
	wait.Go(func() { c.renewAll(ctx) })
	wait.Go(func() { electing{c}.keep(ctx) })
	if c.disk == nil {
		c.watch(ctx)
		return nil
	}
	return c.vote(ctx)
}

// sits returns this node's voter, nil if there is none.
func (c *Control) sits() *seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seat
}

func (c *Control) trouble(problem string) {
	c.mu.Lock()
	was := c.problem
	c.problem = problem
	c.mu.Unlock()
	if problem != "" && problem != was {
		c.logger.Warn("control: it does not work", "problem", problem)
	}
}

// Load implements topology.Control, linearizably. The body is the caller's.
func (c *Control) Load(ctx context.Context, name string) (topology.Document, error) {
	if !validName(name) {
		return topology.Document{}, fail("load", topology.NotApplied, fmt.Errorf("document %q: not a name for one: %w", name, topology.ErrMalformed))
	}
	a, err := reaching{c}.reach(ctx, methodLoad, question{name: name})
	if err != nil {
		return topology.Document{}, fail("load", topology.NotApplied, err)
	}
	if len(a.documents) != 1 || a.documents[0].Name != name {
		return topology.Document{}, fail("load", topology.NotApplied, fmt.Errorf("document %s: the answer holds another: %w", name, topology.ErrMalformed))
	}
	c.known.learn(a.documents[0])
	return clone(a.documents[0]), nil
}

// Swap implements topology.Control. It keeps nothing of d.
func (c *Control) Swap(ctx context.Context, d topology.Document) (topology.Document, error) {
	switch {
	case !validName(d.Name):
		return topology.Document{}, fail("swap", topology.NotApplied, fmt.Errorf("document %q: not a name for one: %w", d.Name, topology.ErrMalformed))
	case len(d.Body) > BodyBytesMax:
		return topology.Document{}, fail("swap", topology.NotApplied,
			fmt.Errorf("document %s: %d bytes are more than %d: %w", d.Name, len(d.Body), BodyBytesMax, topology.ErrTooLarge))
	}
	r, err := c.propose(ctx, command{kind: commandSwap, document: d})
	if err != nil {
		return topology.Document{}, err
	}
	d.Version, d.Body = r.value, bytes.Clone(d.Body)
	c.known.learn(d)
	return clone(d), nil
}

// Latest implements topology.Control. The body is shared: read only.
func (c *Control) Latest(name string) (topology.Document, <-chan struct{}) { return c.known.get(name) }

// propose asks for a change under a number of its own, so that it takes place once
// however often it is asked for.
func (c *Control) propose(ctx context.Context, k command) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, fail("swap", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, err))
	}
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return result{}, fail("swap", topology.NotApplied, fmt.Errorf("%d changes are under way: %w: %w", ProposalsMax, topology.ErrTimeout, ctx.Err()))
	}
	k.op = operation{c.env.Self, c.session, c.number.Add(1)}
	a, err := reaching{c}.reach(ctx, methodPropose, question{command: encodeCommand(k)})
	if err != nil {
		return result{}, err
	}
	return a.result, verdict(k, a.result)
}

// vote runs this node's voter.
func (c *Control) vote(ctx context.Context) error {
	if err := (founder{c}).belong(ctx); err != nil {
		return quiet(ctx, err)
	}
	for {
		err := founder{c}.prepare(c.disk)
		switch {
		case err == nil:
		case errors.Is(err, topology.ErrFailed), errors.Is(err, topology.ErrDenied):
			return err
		case ctx.Err() != nil:
			return nil
		default: // a log that does not know its cluster yet takes nothing
			c.logger.Debug("control: the log of this voter is not ready", "error", err)
			pause(ctx, c.timing.pause)
			continue
		}
		break
	}
	s, err := c.sit(ctx)
	if err != nil {
		return err
	}
	err = s.work(ctx)
	if !errors.Is(err, errDismissed) {
		return errors.Join(quiet(ctx, err), s.leave())
	}
	c.logger.Warn("control: this node votes no more; it is a client of those who do, until it is started anew")
	c.mu.Lock()
	c.seat = nil
	c.mu.Unlock()
	if err := s.leave(); err != nil {
		return err
	}
	c.watch(ctx)
	return nil
}

// quiet drops an error that only says that ctx has ended.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// sit starts raft.
func (c *Control) sit(ctx context.Context) (*seat, error) {
	c.mu.Lock()
	group := c.founding.group
	c.mu.Unlock()
	s := &seat{
		control: c, machine: newMachine(c.known), logs: c.disk.logs, turns: make(chan struct{}, answeredMax),
		lines: &lines{self: c.self, group: group, timing: c.timing, consumer: make(chan raft.RPC), done: make(chan struct{}), call: reaching{c}.caller(ctx)},
	}
	var err error
	conf := c.options.config(c.self.id(), &logWriter{logger: c.logger})
	s.raft, err = raft.NewRaft(conf, s.machine, c.disk.logs, c.disk.stable, c.disk.snapshots, s.lines)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	c.mu.Lock()
	c.seat = s
	c.mu.Unlock()
	return s, nil
}
