package raft

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/topology"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var testCluster = [16]byte{0xc2}

// rig is a cluster in one process: real logs, homes and transports over a file
// system and a network in memory.
type rig struct {
	t       testing.TB
	net     *transport.Network
	list    []topology.Member
	options Options
	disks   map[topology.NodeID]vfs.FS
	wrap    map[topology.NodeID]func(topology.GroupLog) topology.GroupLog
	meet    map[topology.NodeID]func(topology.Transport) topology.Transport
}

func newRig(t testing.TB, o Options, ids ...topology.NodeID) *rig {
	if o.Heartbeat == 0 {
		o.Heartbeat = HeartbeatFast
	}
	r := &rig{
		t: t, net: transport.NewNetwork(), options: o, disks: map[topology.NodeID]vfs.FS{},
		wrap: map[topology.NodeID]func(topology.GroupLog) topology.GroupLog{}, meet: map[topology.NodeID]func(topology.Transport) topology.Transport{},
	}
	for _, id := range ids {
		r.list = append(r.list, topology.Member{ID: id, Addr: string(id)})
		r.disks[id] = vfs.NewMem()
	}
	return r
}

// process is one node's control backend and what it stands on. Run runs all of it
// and closes it.
type process struct {
	*Control
	home *home.Home
	log  *wal.Log
	wire *transport.Transport
	open []io.Closer
}

func (r *rig) logger(id topology.NodeID) *slog.Logger {
	if os.Getenv("TRIAD_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
}

// try opens a process of a node.
func (r *rig) try(id topology.NodeID) (p *process, err error) {
	p = &process{}
	defer func() {
		if err != nil {
			_ = p.close()
		}
	}()
	logger, fs := r.logger(id), r.disks[id]
	if p.home, err = home.Open(home.Options{FS: fs, Dir: "data", Cluster: "test", Node: id, Logger: logger}); err != nil {
		return p, err
	}
	p.open = append(p.open, p.home)
	if _, known := p.home.Cluster(); !known {
		if err := p.home.Adopt(testCluster); err != nil {
			return p, err
		}
	}
	list, err := members.New(id, r.list)
	require.NoError(r.t, err)
	ln, err := r.net.Listen(string(id))
	require.NoError(r.t, err)
	p.open = append(p.open, ln)
	p.wire, err = transport.New(transport.Config{
		Self: id, Life: p.home.Life(), Identity: p.home, Listener: ln, Membership: list, Logger: logger, Dial: r.net.Dialer(string(id)),
		Limits: transport.Limits{BackoffMin: 2 * time.Millisecond, BackoffMax: 20 * time.Millisecond},
	})
	require.NoError(r.t, err)
	env := topology.ControlEnv{Self: id, Life: p.home.Life(), Stable: p.home, Transport: p.wire, Membership: list, Logger: logger}
	if meet := r.meet[id]; meet != nil {
		env.Transport = meet(p.wire)
	}
	env.OpenLog = func(name string) (topology.GroupLog, error) {
		dir, err := p.home.Place(name)
		if err != nil {
			return nil, err
		}
		p.log, err = wal.Open(wal.Options{FS: fs, Dir: dir, Cluster: testCluster, Node: id, SegmentBytes: 64 << 10, FirstSegmentBytes: 16 << 10, Logger: logger})
		if err != nil {
			return nil, err
		}
		p.open = append(p.open, p.log)
		if wrap := r.wrap[id]; wrap != nil {
			return wrap(p.log), nil
		}
		return p.log, nil
	}
	c, err := New(r.options)(env)
	if err != nil {
		return p, err
	}
	p.Control = c.(*Control)
	return p, nil
}

func (p *process) close() error {
	var errs []error
	for i := len(p.open) - 1; i >= 0; i-- {
		errs = append(errs, p.open[i].Close())
	}
	p.open = nil
	return errors.Join(errs...)
}

// Run runs the log, then the transport and the backend, and ends them the other
// way round.
func (p *process) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	floor, end := context.WithCancel(context.Background())
	var logErr, wireErr error
	if p.log != nil {
		wait.Go(func() { logErr = p.log.Run(floor) })
	}
	wait.Go(func() { wireErr = p.wire.Run(floor) })
	err := p.Control.Run(ctx)
	end()
	wait.Wait()
	_ = p.close()
	return errors.Join(err, logErr, wireErr)
}

// running is a process that runs.
type running struct {
	*process
	stop func() error
}

func (r *rig) start(id topology.NodeID) *running {
	r.t.Helper()
	p, err := r.try(id)
	require.NoError(r.t, err)
	return r.run(p)
}

func (r *rig) run(p *process) *running {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() { _ = stop() })
	return &running{p, stop}
}

// all starts every node.
func (r *rig) all() map[topology.NodeID]*running {
	all := map[topology.NodeID]*running{}
	for _, m := range r.list {
		all[m.ID] = r.start(m.ID)
	}
	return all
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// leader waits until one of these leads, and all of them know it.
func leader(t testing.TB, all ...*running) (at *running) {
	t.Helper()
	eventually(t, "a leader that all know", func() bool {
		at = nil
		for _, p := range all {
			s := p.Report()
			if s.Leader == "" || s.Leader != all[0].Report().Leader {
				return false
			}
			if seat := p.sits(); seat != nil && seat.leads() {
				at = p
			}
		}
		return at != nil
	})
	return at
}
