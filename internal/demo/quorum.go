package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// votes is what the phases of the scenario quorum share.
type votes struct {
	*demo
	away  *node // is killed, and comes back with what it had
	wiped *node // is killed, and comes back with nothing
	table string
	want  map[string]string // by key; empty: it was removed
}

// fitsQuorum wants nodes that all take writes, of which one may be away.
func fitsQuorum(c *config.Cluster) error {
	if !c.NobodyLeads() {
		return errors.New("somebody leads it; as in topology: {kind: leaderless}")
	}
	if c.Topology.Local() {
		return fmt.Errorf("its sites answer by themselves; %s is played there", ScenarioSiteLoss)
	}
	w, r, n := c.Topology.Needs()
	switch {
	case w+r <= n:
		return fmt.Errorf("%d and %d replicas are no more than %d, and reads are to find what was written before them", w, r, n)
	case w == n || r == n:
		return errors.New("it waits for all replicas, and one is to be away")
	case w < 2:
		return errors.New("a write is to survive the loss of a disk")
	}
	return nil
}

// quorumLimit bounds each phase: on a busy machine partitions move slowly.
const quorumLimit = time.Minute

func playQuorum(ctx context.Context, d *demo) error {
	v := &votes{demo: d, away: d.c.nodes[len(d.c.nodes)-1], wiped: d.c.nodes[1], want: map[string]string{}}
	v.table, _ = d.writable()
	carts := []phase{}
	if v.siblingTable() != "" {
		carts = []phase{{"two carts at the same time, kept as siblings", v.carts}}
	}
	more := []phase{}
	if len(d.c.of.Sites) == 0 { // or the file would have to say how far the new one is from each
		more = []phase{{fmt.Sprintf("%s joins, and everybody goes on", d.c.newcomer()), v.join}}
	}
	return d.phases(ctx, slices.Concat([]phase{
		{"nodes that all take writes", v.boot},
		{"a write at any node, read at every other", v.fresh},
	}, carts, []phase{
		{"one replica written, one read: faster, and stale now and then", v.stale},
		{fmt.Sprintf("%s is killed, and everybody goes on", v.away.ID), v.without},
		{"it is back, and is given what it missed", v.back},
		{fmt.Sprintf("%s loses its disk", v.wiped.ID), v.wipe},
		{"it is filled by the others, and nothing comes back that was removed", v.filled},
	}, more, []phase{
		{"what everybody holds", v.compare},
	}))
}

// boot waits until every node takes writes and reaches the others.
func (v *votes) boot(ctx context.Context) error {
	if err := until(ctx, v.whole); err != nil {
		return err
	}
	if err := until(ctx, v.defined); err != nil {
		return err
	}
	var rows [][]string
	for _, n := range v.c.living() {
		s, err := v.status(ctx, n)
		if err != nil {
			return err
		}
		rows = append(rows, []string{string(n.ID), string(s.Role), n.addr, fmt.Sprint(len(s.Peers))})
	}
	v.demo.table([]string{"node", "role", "address", "reaches"}, rows)
	w, r, n := v.c.of.Topology.Needs()
	v.held("%d nodes take writes; every key has %d copies, of which a write waits for %d and a read hears %d", len(rows), n, w, r)
	return nil
}

// whole returns nil once every living node takes writes and reaches every other.
func (v *votes) whole(ctx context.Context) error {
	for _, n := range v.c.living() {
		s, err := v.status(ctx, n)
		if err != nil {
			return err
		}
		if !s.Role.Writes() {
			return fmt.Errorf("%s takes no writes yet: %v", n.ID, s.Warnings)
		}
		for _, p := range s.Peers {
			if other := v.c.node(p.Node); other != nil && !other.away.Load() && p.State != "replicate" {
				return fmt.Errorf("%s does not reach %s: %s %s", n.ID, p.Node, p.State, p.Problem)
			}
		}
	}
	return nil
}

// keysFresh is how many keys are written and read at once by all.
const keysFresh = 25

// fresh writes at one node after another, and wants every other to show it at once.
func (v *votes) fresh(ctx context.Context) error {
	ns := v.c.living()
	reads := 0
	for i := range keysFresh {
		key, text := fmt.Sprint(1001+i), fmt.Sprintf("Alice %d", i)
		r, err := v.put(ctx, ns[i%len(ns)], key, text)
		if err != nil {
			return err
		}
		if w, _, _ := v.c.of.Topology.Needs(); len(r.Durable) < w {
			return fmt.Errorf("%s was acknowledged, and is durable at %s alone", key, names(r.Durable))
		}
		for _, n := range ns {
			got, err := v.at[n.ID].Get(ctx, v.table, []byte(key))
			if err != nil {
				return fmt.Errorf("%s at %s: %w", key, n.ID, err)
			}
			if string(got.Value) != text {
				return fmt.Errorf("%s is %q at %s, and %q was acknowledged before", key, got.Value, n.ID, text)
			}
			if got.Guarantee != topology.ReadRegular && got.Guarantee != topology.ReadMonotonic {
				return fmt.Errorf("a read of %s at %s guarantees %v", key, n.ID, got.Guarantee)
			}
			reads++
		}
	}
	v.held("%d writes at %d nodes; %d reads, at every node, each found the write before it", keysFresh, len(ns), reads)
	return nil
}

// put writes a key at a node, and remembers what it is to be.
func (v *votes) put(ctx context.Context, n *node, key, text string, opts ...client.Option) (client.Receipt, error) {
	r, err := v.at[n.ID].Put(ctx, v.table, []byte(key), []byte(text), opts...)
	if err != nil {
		return r, fmt.Errorf("%s at %s: %w", key, n.ID, err)
	}
	v.want[key] = text
	return r, nil
}

// roundsMax is how often one replica is written and the others are read at once, until
// reads were stale.
const (
	roundsMin = 20
	roundsMax = 2000
)

// stale writes one replica and reads one, and counts how often the write is not there.
func (v *votes) stale(ctx context.Context) error {
	ns := v.c.living()
	stale, reads, rounds := 0, 0, 0
	const key = "2001"
	for ; rounds < roundsMin || stale == 0 && rounds < roundsMax; rounds++ {
		text := fmt.Sprintf("Bob %d", rounds)
		if _, err := v.put(ctx, ns[rounds%len(ns)], key, text, client.Consistency(topology.ConsistencyOne)); err != nil {
			return err
		}
		seen := make([]string, len(ns))
		var g errgroup.Group
		for i, n := range ns {
			g.Go(func() error {
				got, err := v.at[n.ID].Get(ctx, v.table, []byte(key), client.Consistency(topology.ConsistencyOne))
				if errors.Is(err, topology.ErrNotFound) {
					return nil
				}
				seen[i] = string(got.Value)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, s := range seen {
			if reads++; s != text {
				stale++
			}
		}
		got, err := v.at[ns[0].ID].Get(ctx, v.table, []byte(key), client.Consistency(topology.ConsistencyAll))
		if err != nil {
			return err
		}
		if string(got.Value) != text {
			return fmt.Errorf("%s is %q where all replicas are read, and %q was acknowledged before", key, got.Value, text)
		}
	}
	if stale == 0 {
		return fmt.Errorf("one replica was written and one read %d times, and no read was stale", reads)
	}
	v.held("%d of %d reads right after the write were stale (%.1f %%); reads of all replicas never", stale, reads, 100*float64(stale)/float64(reads))
	return nil
}

const keysAway = 40

// without kills a node, and writes and reads go on at the others.
func (v *votes) without(ctx context.Context) error {
	if err := v.c.kill(ctx, v.away); err != nil {
		return err
	}
	v.line("%s was killed", v.away.ID)
	ns := v.c.living()
	began := time.Now()
	for i := range keysAway {
		n := ns[i%len(ns)]
		key := fmt.Sprint(1001 + i)
		if i%4 == 3 {
			if _, err := v.at[n.ID].Delete(ctx, v.table, []byte(key)); err != nil {
				return fmt.Errorf("%s removed at %s: %w", key, n.ID, err)
			}
			v.want[key] = ""
			continue
		}
		if _, err := v.put(ctx, n, key, fmt.Sprintf("Carol %d", i)); err != nil {
			return err
		}
	}
	if err := v.shown(ctx, ns); err != nil {
		return err
	}
	v.held("%d writes and removals at %d nodes were acknowledged in %s, and every read found them", keysAway, len(ns), since(began))
	return nil
}

// shown wants every key to be, at each of some nodes, what it was made.
func (v *votes) shown(ctx context.Context, ns []*node, opts ...client.Option) error {
	for key, want := range v.want {
		for _, n := range ns {
			got, err := v.at[n.ID].Get(ctx, v.table, []byte(key), opts...)
			switch {
			case errors.Is(err, topology.ErrNotFound) && want == "":
			case err != nil:
				return fmt.Errorf("%s at %s: %w", key, n.ID, err)
			case string(got.Value) != want:
				return fmt.Errorf("%s is %q at %s, and %q was acknowledged", key, got.Value, n.ID, want)
			}
		}
	}
	return nil
}

// back starts the killed node, and wants it to show by itself what it missed.
func (v *votes) back(ctx context.Context) error {
	if err := v.c.restart(v.away); err != nil {
		return err
	}
	began := time.Now()
	err := until(ctx, func(ctx context.Context) error { return v.shown(ctx, []*node{v.away}, client.Any()) })
	if err != nil {
		return err
	}
	v.held("%s shows, of what it holds itself, all that it missed, %s after its start: the others' logs had it", v.away.ID, since(began))
	return nil
}

// wipe kills another node and takes its directory away.
func (v *votes) wipe(ctx context.Context) error {
	if err := until(ctx, v.whole); err != nil {
		return err
	}
	if err := v.c.kill(ctx, v.wiped); err != nil {
		return err
	}
	if err := os.RemoveAll(v.wiped.Dir); err != nil {
		return err
	}
	v.line("%s was killed, and its directory is gone", v.wiped.ID)
	ns := v.c.living()
	for i := range keysAway / 2 {
		key := fmt.Sprint(1001 + 2*i)
		if _, err := v.at[ns[i%len(ns)].ID].Delete(ctx, v.table, []byte(key)); err != nil {
			return fmt.Errorf("%s removed at %s: %w", key, ns[i%len(ns)].ID, err)
		}
		v.want[key] = ""
	}
	if err := v.shown(ctx, ns); err != nil {
		return err
	}
	v.held("no acknowledged write is lost: every key is what it was made, at %d nodes, and %d more were removed", len(ns), keysAway/2)
	return nil
}

// filled starts the wiped node, which votes once it holds what enough others hold.
func (v *votes) filled(ctx context.Context) error {
	if err := v.c.restart(v.wiped); err != nil {
		return err
	}
	began := time.Now()
	if err := until(ctx, v.whole); err != nil {
		return err
	}
	if err := v.shown(ctx, v.c.living()); err != nil {
		return err
	}
	if err := until(ctx, func(ctx context.Context) error { return v.shown(ctx, []*node{v.wiped}, client.Any()) }); err != nil {
		return err
	}
	v.held("%s votes again %s after its start, and no removed key came back", v.wiped.ID, since(began))
	return nil
}

// compare reads everything at every node, which shows what it holds itself, and wants
// the same bytes.
func (v *votes) compare(ctx context.Context) error {
	ns := v.c.living()
	var held []holding
	err := until(ctx, func(ctx context.Context) error {
		held = make([]holding, len(ns))
		g, within := errgroup.WithContext(ctx)
		for i, n := range ns {
			g.Go(func() (err error) {
				held[i], err = v.hold(within, n)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			held = nil
			return err
		}
		for i, n := range ns {
			if held[i].sum != held[0].sum {
				return fmt.Errorf("%s shows other bytes than %s: SHA-256 %s and %s", n.ID, ns[0].ID, held[i].sum, held[0].sum)
			}
		}
		return nil
	})
	var rows [][]string
	for i, n := range ns[:len(held)] {
		rows = append(rows, []string{string(n.ID), string(held[i].status.Role), fmt.Sprint(held[i].status.Applied), fmt.Sprint(held[i].keys[v.table]), held[i].sum[:16]})
	}
	v.demo.table([]string{"node", "role", "records in its log", v.table, "sha-256"}, rows)
	if err != nil {
		return err
	}
	v.held("%d nodes show the same bytes: keys, values, transactions, times", len(ns))
	return nil
}
