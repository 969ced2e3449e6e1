package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// engine makes what a subject's topology adds to the configuration of a node.
type engine func(w told, n *Node, c *triad.Config)

// engines are the topologies that can be measured. Which is not here is left out of a
// run, and the report says so.
var engines = map[scenario.Topology]engine{
	scenario.SingleLeader: oneLeader,
	scenario.MultiLeader:  severalLeaders,
	scenario.Leaderless:   nobodyLeads,
}

// Available returns why a subject can not be run, nil if it can.
func Available(v scenario.Variant) error {
	if v.Topology == scenario.Leaderless && v.Siblings() {
		return fmt.Errorf("%s: siblings of a %s subject are not measured yet", v.Of, v.Topology)
	}
	if engines[v.Topology] == nil {
		return fmt.Errorf("%s: the topology %s is not built yet", v.Of, v.Topology)
	}
	return nil
}

// told is a world as it says what a node is to know.
type told struct{ *World }

// config is what a node is opened with, but for its files and sockets.
func (w told) config(n *Node) (triad.Config, error) {
	c := triad.Config{
		ID: topology.NodeID(n.ID), Cluster: clusterName, Site: n.Site, Dir: n.dir, Members: w.membersOf(n), Tables: w.o.Tables,
		Logger: w.o.Logger.With("node", n.ID), Limits: triad.Limits{LogFirstSegmentBytes: segmentBytes},
	}
	if err := Available(w.o.Variant); err != nil {
		return c, err
	}
	engines[w.o.Variant.Topology](w, n, &c)
	return c, nil
}

// names reports whether a node's configuration names another one. Where one leads, who is
// to join is not known before it is added by its address; sites name all.
func (w told) names(n, to *Node) bool {
	return n == to || !to.joins.Load() || w.o.Variant.Scattered()
}

// membersOf are the members that a node's configuration names.
func (w told) membersOf(n *Node) (all []triad.Member) {
	for i, to := range w.nodes {
		if w.names(n, to) {
			all = append(all, w.members[i])
		}
	}
	return all
}

// votersMax is of how many nodes the first keep the documents of control/raft.
const votersMax = 5

func oneLeader(w told, _ *Node, c *triad.Config) {
	v := w.o.Variant
	o := singleleader.Options{Sync: v.Sync, Durability: v.Durability, FailAfter: time.Duration(v.Subject.FailAfter)}
	if v.Sync.Kind == quorum.KindAsync {
		o.MaxLagOnFailover = uint64(v.Subject.MaxLost)
	}
	c.Topology = singleleader.New(o)
	c.Control = raft.New(raft.Options{Voters: w.voters(), Leader: w.members[0].ID})
}

func severalLeaders(w told, n *Node, c *triad.Config) {
	v := w.o.Variant
	o := multileader.Options{Group: singleleader.Options{Sync: v.Sync, Durability: v.Durability}, Joins: n.joins.Load()}
	for i, site := range w.o.Scenario.Sites {
		if n.joins.Load() || w.o.Scenario.Absent(scenario.NodeName(site, 0)) {
			continue // the roster says it
		}
		o.Sites = append(o.Sites, multileader.Site{Name: site, Number: uint32(i + 1)})
	}
	c.Topology = multileader.New(o)
	c.Control = static.New(static.Options{Leader: topology.NodeID(scenario.NodeName(n.Site, 0))})
}

// nobodyLeads asks a session's reads of one replica, and all others of as many as the
// subject says.
func nobodyLeads(w told, _ *Node, c *triad.Config) {
	v := w.o.Variant
	level := func(n int) quorum.Consistency {
		switch {
		case n == v.Copies:
			return quorum.AtAll
		case n == 1:
			return quorum.AtOne
		}
		return quorum.AtQuorum
	}
	o := leaderless.Options{Replicas: v.Copies, Write: level(v.W), Read: level(v.R), CallTimeout: time.Duration(w.o.Scenario.Timeout)}
	if v.Subject.WriteBack {
		o.Repair = core.RepairBlocking
	}
	c.Topology, c.Leader = leaderless.New(o), w.members[0].ID
}

// upKey is what is written to see whether nodes take part.
const upKey = "up"

// up returns once every node that takes writes has taken one, and every node shows all
// of them and knows the tables.
func (w *World) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(w.o.Scenario.Settle), fmt.Errorf("not within %v", time.Duration(w.o.Scenario.Settle)))
	defer cancel()
	if !w.o.Variant.Scattered() {
		err := Until(ctx, func(ctx context.Context) error {
			if w.look(ctx); w.leader.Load() == nil {
				return errors.Join(errNobodyLeads, w.fell())
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := (roll{w}).firstLeads(ctx); err != nil {
		return err
	}
	if _, err := w.Converge(ctx, upKey); err != nil {
		return err
	}
	for _, n := range w.Present() {
		for _, t := range w.o.Tables {
			err := Until(ctx, func(ctx context.Context) error { return n.knows(ctx, t.Name) })
			if err != nil {
				return fmt.Errorf("%s: %w", n.ID, err)
			}
		}
	}
	return nil
}

var errNobodyLeads = errors.New("nobody leads")

// fell is why processes have ended by themselves.
func (w *World) fell() error {
	var errs []error
	for _, n := range w.nodes {
		if n.proc != nil {
			errs = append(errs, n.proc.fell())
		}
	}
	return errors.Join(errs...)
}

// Present are the nodes that take part now.
func (w *World) Present() (all []*Node) {
	for _, n := range w.nodes {
		if !n.absent.Load() {
			all = append(all, n)
		}
	}
	return all
}

// firstLeads has the first node lead, where processes elected another one: their files do
// not say who begins.
func (w roll) firstLeads(ctx context.Context) error {
	first := w.nodes[0]
	if w.o.Variant.Scattered() || first.proc == nil {
		return nil
	}
	err := Until(ctx, func(ctx context.Context) error {
		w.look(ctx)
		if leads := w.Leader(); leads != first {
			return w.handOver(ctx, leads)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("switch over to %s: %w", first.ID, err)
	}
	return nil
}

// Converge writes key once at every node that takes writes, and returns how long it
// took until every node showed all of that, and with it everything acknowledged before.
func (w *World) Converge(ctx context.Context, key string) (time.Duration, error) {
	began := time.Now()
	var seen topology.Token
	for _, n := range w.Writers() {
		err := Until(ctx, func(ctx context.Context) error {
			if !w.o.Variant.Scattered() {
				n = w.Leader() // it may have changed
			}
			k, err := n.keeper()
			if err != nil {
				return err
			}
			r, err := k.Put(ctx, triad.DefaultTable, []byte(key+"/"+n.ID), []byte(key))
			if err == nil {
				seen = seen.Join(r.Token)
			}
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("a write at %s: %w", n.ID, err)
		}
	}
	for _, n := range w.Present() {
		err := Until(ctx, func(ctx context.Context) error {
			k, err := n.keeper()
			if err != nil {
				return err
			}
			return k.Wait(ctx, seen)
		})
		if err != nil {
			return 0, fmt.Errorf("%s does not show what was written before: %w", n.ID, err)
		}
	}
	if w.o.Variant.Topology == scenario.Leaderless {
		// Each key goes its own way there: that one is everywhere says nothing of others.
		if err := Until(ctx, func(ctx context.Context) error { return same(ctx, w) }); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// same returns nil once all nodes hold the same writes of every key.
func same(ctx context.Context, w *World) error {
	var first map[string]version.Dot
	for _, n := range w.Present() {
		k, err := n.keeper()
		if err != nil {
			return err
		}
		has := map[string]version.Dot{}
		for _, t := range append(w.o.Tables, triad.Table{Name: triad.DefaultTable}) {
			for item, err := range k.Scan(ctx, t.Name, nil, nil, triad.Any()) {
				if err != nil {
					return err
				}
				has[t.Name+"/"+string(item.Key)] = item.Dot
			}
		}
		if first == nil {
			first = has
		} else if !maps.Equal(first, has) {
			return fmt.Errorf("%s and %s do not hold the same yet", w.nodes[0].ID, n.ID)
		}
	}
	return nil
}

// Pauses of Until, and how long it lets one try take.
const (
	untilEvery = 5 * time.Millisecond
	tryTimeout = 2 * time.Second
)

// Until returns nil once try does, or once ctx has ended the last error of it.
func Until(ctx context.Context, try func(ctx context.Context) error) error {
	tick := time.NewTicker(untilEvery)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, tryTimeout)
		err := try(one)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
