package world

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/topology"
)

// remotes are the remote clients of a world, made when they are first asked for: one for
// each site, which finds by itself whom to write to, and one for each site and node, which
// asks that node alone. Of no site is the harness itself, which crosses no link.
type remotes struct {
	w *World

	mu     sync.Mutex // guards what follows; a leaf
	all    map[way]*client.Client
	closed bool
}

// to is the door of clients of a site to a node; to all if none is named.
func (r *remotes) to(at way) Door {
	c, err := r.client(at)
	if err != nil {
		return barred{err}
	}
	return remote{c, r.w.o.Variant}
}

func (r *remotes) client(at way) (*client.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.all[at]; c != nil {
		return c, nil
	}
	if r.closed {
		return nil, topology.ErrClosed
	}
	o := client.Options{Cluster: clusterName}
	if at.site != "" {
		o.Dial = r.w.dialFrom(at.site)
	}
	var addrs []string
	for _, n := range r.w.near(at.site) {
		if at.node == n.ID || at.node == "" && len(addrs) < client.AddressesMax {
			addrs = append(addrs, n.addr)
		}
	}
	if at.node != "" {
		o.AttemptsMax = 1 // or another node would be asked
	}
	c, err := client.Dial(addrs, o)
	if err != nil {
		return nil, err
	}
	if r.all == nil {
		r.all = map[way]*client.Client{}
	}
	r.all[at] = c
	return c, nil
}

func (r *remotes) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	var errs []error
	for _, c := range r.all {
		errs = append(errs, c.Close())
	}
	r.all = nil
	return errors.Join(errs...)
}

// barred is the door of who can not be asked.
type barred struct{ err error }

func (b barred) Read(context.Context, Cell, Want) (Held, error) { return Held{}, refuse("get", b.err) }

func (b barred) Scan(context.Context, Cell, int, Want) error { return refuse("scan", b.err) }

func (b barred) Write(context.Context, ...Change) (topology.Receipt, error) {
	return topology.Receipt{}, refuse("put", b.err)
}

func (b barred) Update(context.Context, []Cell, Decide) (topology.Receipt, error) {
	return topology.Receipt{}, refuse("update", b.err)
}

// statusWait bounds one question to a process who it thinks leads: one that is paused does
// not answer.
const statusWait = 250 * time.Millisecond

// status is what a node says of itself; nothing if it does not answer.
func (n *Node) status(ctx context.Context) topology.Status {
	if n.proc == nil {
		if open := n.open(); open != nil {
			return open.Status()
		}
		return topology.Status{}
	}
	if !n.lives() {
		return topology.Status{}
	}
	c, err := n.operator()
	if err != nil {
		return topology.Status{}
	}
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	s, err := c.StatusOf(ctx, n.addr)
	if err != nil {
		return topology.Status{}
	}
	return s
}

// operator is the harness's own client of a node.
func (n *Node) operator() (*client.Client, error) {
	return n.world.remotes.client(way{"", n.ID})
}

// keeper is what a node in this process and a remote client of one have in common.
type keeper interface {
	Put(ctx context.Context, table string, key, value []byte, opts ...client.Option) (topology.Receipt, error)
	Scan(ctx context.Context, table string, from, to []byte, opts ...client.Option) iter.Seq2[client.Item, error]
	Wait(ctx context.Context, token topology.Token) error
}

// keeper is the node as the harness itself asks it, past all links; errDown if it is down.
func (n *Node) keeper() (keeper, error) {
	if n.proc != nil {
		if err := n.proc.fell(); err != nil {
			return nil, err
		}
		if !n.lives() {
			return nil, errDown
		}
		return n.operator()
	}
	if open := n.open(); open != nil {
		return open, nil
	}
	return nil, errDown
}

// knows returns nil if the node knows a table.
func (n *Node) knows(ctx context.Context, table string) error {
	if n.proc == nil {
		open := n.open()
		if open == nil {
			return errDown
		}
		_, err := open.Cells().Table(ctx, table)
		return err
	}
	c, err := n.operator()
	if err != nil {
		return err
	}
	all, err := c.Tables(ctx)
	if err == nil && !slices.ContainsFunc(all, func(t client.Table) bool { return t.Name == table }) {
		err = fmt.Errorf("%s: %w", table, topology.ErrNoTable)
	}
	return err
}

// Final is what the node holds of the default table.
func (n *Node) Final(ctx context.Context) (check.Final, error) {
	if n.proc == nil {
		return load.Final(ctx, n.ID, n.Engine())
	}
	f := check.Final{Node: n.ID, Cells: map[string]check.Cell{}}
	k, err := n.keeper()
	if err != nil {
		return f, err
	}
	for item, err := range k.Scan(ctx, triad.DefaultTable, nil, nil, client.Any()) {
		if err != nil {
			return f, fmt.Errorf("what %s holds: %w", n.ID, err)
		}
		f.Cells[string(item.Key)] = check.Cell{
			Raw: fmt.Sprint(item.Dot, item.Time, string(item.Value)), Values: []string{string(item.Value)},
			Place: history.Place{Dot: item.Dot, Time: item.Time},
		}
	}
	return f, nil
}

// Conflicts yields the type of each conflict that the node has met. An error is the last
// thing it yields: topology.ErrUnsupported where writes have one order.
func (n *Node) Conflicts(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if n.proc == nil {
			for c, err := range n.open().Operator().Conflicts(ctx, triad.ConflictPlace{}) {
				if !yield(string(c.Type), err) {
					return
				}
			}
			return
		}
		o, err := n.operator()
		if err != nil {
			yield("", err)
			return
		}
		for c, err := range o.Operator().Conflicts(ctx, n.addr, client.ConflictPlace{}, 0) {
			if !yield(string(c.Type), err) {
				return
			}
		}
	}
}
