package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// regions is what the phases of the scenario site-loss share.
type regions struct {
	*votes
	all  []region
	lost region // all its nodes are killed, and come back
}

// region is a site in which every node takes writes.
type region struct {
	name  string
	nodes []*node
}

// fitsSiteLoss wants sites that answer by themselves, each with a copy of every key.
func fitsSiteLoss(c *config.Cluster) error {
	if !c.NobodyLeads() || !c.Topology.Local() {
		return errors.New("it needs topology: {kind: leaderless, write: local_quorum, read: local_quorum}")
	}
	if len(c.Sites) < 3 {
		return errors.New("it needs three sites, so that two are more than half without the third")
	}
	if c.Topology.Replicas < len(c.Sites) {
		return fmt.Errorf("%d copies of a key can not be in %d sites", c.Topology.Replicas, len(c.Sites))
	}
	return nil
}

func playSiteLoss(ctx context.Context, d *demo) error {
	r := &regions{votes: &votes{demo: d, want: map[string]string{}}}
	r.table, _ = d.writable()
	for _, s := range d.c.of.Sites {
		x := region{name: s.Name}
		for _, id := range s.Nodes {
			x.nodes = append(x.nodes, d.c.node(topology.NodeID(id)))
		}
		r.all = append(r.all, x)
	}
	r.lost = r.all[len(r.all)-1]
	return d.phases(ctx, []phase{
		{"sites that all take writes, and nobody leads", r.boot},
		{"a write is answered in its own site, and is everywhere one journey later", r.travel},
		{"two sites write one user at the same time", r.meet},
		{fmt.Sprintf("%s is lost, and the others go on", r.lost.name), r.lose},
		{"it is back, and is given what it missed", r.back},
		{"what everybody holds", r.compare},
	})
}

const keysPlaced = 20

// boot waits until every node takes writes and reaches the others, and looks where keys lie.
func (r *regions) boot(ctx context.Context) error {
	if err := until(ctx, r.whole); err != nil {
		return err
	}
	if err := until(ctx, r.defined); err != nil {
		return err
	}
	var rows [][]string
	for _, x := range r.all {
		var ids, far []string
		for _, n := range x.nodes {
			ids = append(ids, string(n.ID))
		}
		for _, y := range r.all {
			if y.name != x.name {
				far = append(far, fmt.Sprintf("%v to %s", r.c.of.Delay(x.name, y.name), y.name))
			}
		}
		rows = append(rows, []string{x.name, strings.Join(ids, ", "), strings.Join(far, ", ")})
	}
	r.demo.table([]string{"site", "nodes", "a message takes"}, rows)
	for i := range keysPlaced {
		key := fmt.Sprint(1001 + i)
		p, err := r.votes.all.Operator().Ring().Locate(ctx, r.c.nodes[0].addr, r.table, []byte(key))
		if err != nil {
			return err
		}
		for _, x := range r.all {
			if !slices.ContainsFunc(p.Replicas, func(n topology.RingNode) bool { return n.Site == x.name }) {
				return fmt.Errorf("%s has no copy of %s: %v", x.name, key, p.Replicas)
			}
		}
	}
	t := r.c.of.Topology
	r.held("%d nodes in %d sites take writes; every key has %d copies, at least one in each site; writes wait for %s and reads for %s", len(r.c.nodes), len(r.all), t.Replicas, t.Write, t.Read)
	return nil
}

// travel writes in every site, reads at all its nodes, and waits until the others have it.
func (r *regions) travel(ctx context.Context) error {
	var rows [][]string
	alone := 0
	for i, x := range r.all {
		for k, n := range x.nodes {
			key, text := fmt.Sprint(1001+10*i+k), "Alice of "+x.name
			began := time.Now()
			got, err := r.put(ctx, n, key, text)
			if err != nil {
				return err
			}
			answered := since(began)
			mine, others := r.durable(x, got)
			if mine == 0 {
				return fmt.Errorf("%s was acknowledged in %s, and is durable at %s", key, x.name, names(got.Durable))
			}
			if others == 0 {
				alone++
			}
			if err := r.fresh(ctx, x, key, text); err != nil {
				return err
			}
			if err := until(ctx, func(ctx context.Context) error { return r.shown(ctx, r.c.living()) }); err != nil {
				return err
			}
			rows = append(rows, []string{x.name, string(n.ID), names(got.Durable), answered, since(began)})
		}
	}
	r.demo.table([]string{"site", "written at", "durable at", "answered after", "everywhere after"}, rows)
	if alone == 0 { // one that is slow may be on another site's disk too when it is answered
		return errors.New("every write was on the disks of other sites before it was answered")
	}
	r.held("%d writes; %d were answered before any other site had them, and every node of their own showed each at once; the others had them by themselves", len(rows), alone)
	return nil
}

// durable counts the nodes of a site, and of others, that had a write when it was answered.
func (r *regions) durable(x region, w client.Receipt) (mine, others int) {
	for _, id := range w.Durable {
		if n := r.c.node(id); n != nil && n.site == x.name {
			mine++
		} else {
			others++
		}
	}
	return mine, others
}

// fresh wants every node of a site to show at once what was acknowledged in it.
func (r *regions) fresh(ctx context.Context, x region, key, text string) error {
	for _, n := range x.nodes {
		got, err := r.at[n.ID].Get(ctx, r.table, []byte(key))
		switch {
		case err != nil:
			return fmt.Errorf("%s at %s: %w", key, n.ID, err)
		case string(got.Value) != text:
			return fmt.Errorf("%s is %q at %s, and %q was acknowledged in its site before", key, got.Value, n.ID, text)
		case got.Guarantee != topology.ReadSite && got.Guarantee < topology.ReadRegular:
			return fmt.Errorf("a read of %s at %s guarantees %v", key, n.ID, got.Guarantee)
		}
	}
	return nil
}

// meet writes one key in two sites at once: both are acknowledged, and all show one.
func (r *regions) meet(ctx context.Context) error {
	const key = "2001"
	var g errgroup.Group
	for _, x := range r.all[:2] {
		g.Go(func() error {
			_, err := r.at[x.nodes[0].ID].Put(ctx, r.table, []byte(key), []byte("Bob of "+x.name))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	err := until(ctx, func(ctx context.Context) error {
		shown := map[string]bool{}
		for _, n := range r.c.living() {
			got, err := r.at[n.ID].Get(ctx, r.table, []byte(key))
			if err != nil {
				return fmt.Errorf("%s at %s: %w", key, n.ID, err)
			}
			shown[string(got.Value)] = true
			r.want[key] = string(got.Value)
		}
		if len(shown) > 1 {
			return fmt.Errorf("%s has %d values", key, len(shown))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.held("both were acknowledged, and all %d nodes show %q, of the last writer", len(r.c.living()), r.want[key])
	return nil
}

const keysLost = 20

// lose kills all nodes of a site. The others write, remove and read, within themselves
// and by a quorum of all; what wants every site is refused.
func (r *regions) lose(ctx context.Context) error {
	for _, n := range r.lost.nodes {
		if err := r.c.kill(ctx, n); err != nil {
			return err
		}
	}
	r.line("all nodes of %s were killed", r.lost.name)
	rest := r.all[:len(r.all)-1]
	began := time.Now()
	for i := range keysLost {
		x := rest[i%len(rest)]
		n, key, text := x.nodes[i/len(rest)%len(x.nodes)], fmt.Sprint(3001+i), fmt.Sprintf("Carol %d", i)
		if _, err := r.put(ctx, n, key, text); err != nil {
			return err
		}
		if err := r.fresh(ctx, x, key, text); err != nil {
			return err
		}
	}
	took := since(began)
	for _, key := range []string{"1001", "2001"} {
		if _, err := r.at[rest[0].nodes[0].ID].Delete(ctx, r.table, []byte(key)); err != nil {
			return fmt.Errorf("%s removed: %w", key, err)
		}
		r.want[key] = ""
	}
	if _, err := r.put(ctx, rest[1].nodes[0], "3100", "Dana", client.Consistency(topology.ConsistencyQuorum)); err != nil {
		return err
	}
	if err := until(ctx, r.refusedEverywhere); err != nil {
		return err
	}
	if err := until(ctx, func(ctx context.Context) error { return r.shown(ctx, r.c.living()) }); err != nil {
		return err
	}
	r.held("%d writes were acknowledged in their own sites in %s, and one by a quorum of all sites; one that wanted each site was refused", keysLost, took)
	return nil
}

// refusedEverywhere returns nil once a write that wants every site is refused, with
// nothing done.
func (r *regions) refusedEverywhere(ctx context.Context) error {
	n := r.all[0].nodes[0]
	_, err := r.at[n.ID].Put(ctx, r.table, []byte("3101"), []byte("Eve"), client.Consistency(topology.ConsistencyEachQuorum))
	if errors.Is(err, topology.ErrUnavailable) && topology.OutcomeOf(err) == topology.NotApplied {
		r.note("%v", err)
		return nil
	}
	if err == nil {
		err = errors.New("it was acknowledged")
	}
	return fmt.Errorf("a write that wants a quorum in each site, of which %s is lost, is not refused: %w", r.lost.name, err)
}

// back starts the lost nodes, and wants each to show by itself what it missed.
func (r *regions) back(ctx context.Context) error {
	for _, n := range r.lost.nodes {
		if err := r.c.restart(n); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := until(ctx, func(ctx context.Context) error { return r.shown(ctx, r.lost.nodes) }); err != nil {
		return err
	}
	took := since(began)
	if err := until(ctx, r.whole); err != nil {
		return err
	}
	if _, err := r.put(ctx, r.all[0].nodes[0], "3102", "Faye", client.Consistency(topology.ConsistencyEachQuorum)); err != nil {
		return err
	}
	r.held("%s shows, of its own copies, all that it missed, %s after its start, and nothing that was removed; a write that wants each site is acknowledged again", r.lost.name, took)
	return nil
}
