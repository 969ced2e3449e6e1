package core_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

var (
	seeds = flag.Int("seeds", 150, "how many schedules to explore")
	seed  = flag.Uint64("seed", 0, "the one schedule to explore")
)

// reached counts what the schedules came by, over all of them: a test that never
// takes a path says nothing about it.
type reached map[string]uint64

// world is one schedule: sites in some shape, with small limits, and a network
// that loses, copies and reorders.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	net   *network
	links [][2]core.Site
	terms uint64
	wrote int
	hits  reached
	drops bool // sites drop their logs
}

func newWorld(t *testing.T, seed uint64, hits reached) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), net: newNetwork(), hits: hits, terms: 1}
	w.drops = seed%2 == 0
	n := 3 + w.rng.IntN(2)
	shape := []string{"mesh", "line", "ring", "star"}[w.rng.IntN(4)]
	limits := core.Limits{
		Queue: 1 + w.rng.IntN(4), Uncommitted: 2 + w.rng.IntN(8), Shipment: 1 + w.rng.IntN(4),
		Window: 1 + w.rng.IntN(8), GapTicks: 1 + w.rng.IntN(3), ResendTicks: 1 + w.rng.IntN(4),
	}
	filters := w.filters(n, shape)
	var members []core.Member
	for i := range n {
		members = append(members, core.Member{Site: core.Site("abcd"[i : i+1]), Number: uint32(i + 1)})
	}
	for i, m := range members {
		h := &host{name: m.Site, wall: epoch, net: w.net, cfg: core.Config{
			Self: m.Site, Origin: version.Origin{ID: m.Number, Incarnation: 1}, Members: members, Limits: limits, MaxSkew: 100 * time.Millisecond, Filters: filters,
		}}
		for j, p := range members {
			if linked(shape, i, j, n) {
				h.cfg.Links = append(h.cfg.Links, core.Link{Peer: p.Site, Relay: shape != "mesh"})
				if i < j {
					w.links = append(w.links, [2]core.Site{m.Site, p.Site})
				}
			}
		}
		h.start()
		w.net.hosts = append(w.net.hosts, h)
		h.step(core.Event{Kind: core.EvLead, Term: 1})
		h.commit()
	}
	return w
}

// filters may have a table that some sites do not hold: those that do have others of them
// next to them, in every shape.
func (w *world) filters(n int, shape string) core.Filters {
	if w.rng.IntN(2) == 0 {
		return nil
	}
	f := core.Filter{Table: tableNamed("p"), Name: "p"}
	first, some := w.rng.IntN(n-1), 2+w.rng.IntN(n-2)
	for i := range n {
		in := i >= first && i < first+some
		if shape == "star" {
			in = i == 0 || w.rng.IntN(2) == 0 || i == n-1 && len(f.Sites) == 1
		}
		if in {
			f.Sites = append(f.Sites, core.Site("abcd"[i:i+1]))
		}
	}
	if len(f.Sites) == n {
		f.Sites = f.Sites[:n-1]
	}
	w.hits["worlds with filters"]++
	return core.Filters{f}
}

func (w *world) any() *host { return w.net.hosts[w.rng.IntN(len(w.net.hosts))] }

// step does one thing that may happen.
func (w *world) step() {
	h := w.any()
	if w.rng.IntN(60) == 0 {
		h.full = !h.full
	}
	if w.drops && w.rng.IntN(20) == 0 {
		h.drop()
	}
	switch p := w.rng.IntN(100); {
	case p < 30:
		w.wrote++
		value := fmt.Sprint(w.wrote)
		if w.rng.IntN(8) == 0 {
			value = ""
		}
		w.write(h, value)
	case p < 40:
		if h.core != nil {
			h.step(core.Event{Kind: core.EvCommitted, LSN: h.core.Commit() + record.LSN(w.rng.IntN(4))})
		}
	case p < 80:
		w.deliver()
	case p < 90:
		h.wall = h.wall.Add(time.Duration(w.rng.IntN(400)) * time.Millisecond)
		if w.rng.IntN(20) == 0 {
			h.wall = h.wall.Add(time.Duration(w.rng.IntN(2000)-1000) * time.Millisecond)
		}
		h.step(core.Event{Kind: core.EvTick})
	case p < 96:
		l := w.links[w.rng.IntN(len(w.links))]
		w.net.down(l[0], l[1])
		if w.rng.IntN(2) == 0 {
			w.net.up(l[0], l[1])
		}
	default:
		w.crash(h)
	}
	w.check(h)
}

// write puts one key, or two at once, of tables that the site holds.
func (w *world) write(h *host, value string) {
	key := string("xyz"[w.rng.IntN(3)])
	if !h.cfg.Filters.Holds(h.name, tableNamed("p")) || w.rng.IntN(2) == 0 {
		h.put(key, value)
		return
	}
	if p := "p/" + key; w.rng.IntN(2) == 0 {
		h.put(p, value)
	} else {
		h.batch([2]string{key, value}, [2]string{p, value})
	}
}

// deliver gives, loses or copies one message that is on its way.
func (w *world) deliver() {
	a, b := w.any(), w.any()
	n := len(w.net.queues[[2]core.Site{a.name, b.name}])
	if n == 0 {
		return
	}
	i := 0
	if w.rng.IntN(4) == 0 {
		i = w.rng.IntN(n)
	}
	if w.rng.IntN(10) == 0 {
		pair := [2]core.Site{a.name, b.name}
		w.net.queues[pair] = slices.Delete(slices.Clone(w.net.queues[pair]), i, i+1)
		w.hits["lost messages"]++
		return
	}
	w.net.deliver(a.name, b.name, i, w.rng.IntN(10) == 0)
}

func (w *world) crash(h *host) {
	if h.core == nil {
		w.terms++
		h.start()
		h.step(core.Event{Kind: core.EvLead, Term: w.terms})
		return
	}
	if h.core.End() > h.core.Commit() {
		w.hits["crashes that lost a tail"]++
	}
	w.count(h)
	h.crash()
}

func (w *world) count(h *host) {
	c := h.core.Counts
	for name, n := range map[string]uint64{
		"delivered": c.Delivered, "duplicates": c.Duplicates, "full queues": c.Dropped, "gaps asked for": c.Asked,
		"parked origins": c.Parked, "sent again": c.Resent, "lost to a later writer": uint64(len(h.lost)),
		"snapshots": uint64(h.snaps.installs), "snapshots asked for": c.Fetched, "left out by mistake": c.Lacking,
	} {
		w.hits[name] += n
	}
	require.Zero(w.t, c.Forks)
}

// check holds what is true of a site at any moment.
func (w *world) check(h *host) {
	if h.core == nil {
		return
	}
	require.LessOrEqual(w.t, h.core.Commit(), h.core.End())
	require.LessOrEqual(w.t, int(h.core.End()-h.core.Commit()), h.cfg.Limits.Uncommitted+1, "one more than the limit: the note that begins a term")
	for _, m := range h.cfg.Members {
		require.LessOrEqual(w.t, h.core.Queued(version.Origin{ID: m.Number, Incarnation: 1}), h.cfg.Limits.Queue)
	}
	require.Equal(w.t, h.recount(), len(h.lost), "what is counted as lost is what was lost")
}

// heal brings up everything and lets it come to rest.
func (w *world) heal() {
	var latest time.Time
	for _, h := range w.net.hosts {
		h.full = false
		if h.core == nil {
			w.crash(h)
		}
		if !h.core.Open() { // its disk was full when its term was to begin
			w.terms++
			h.step(core.Event{Kind: core.EvLead, Term: w.terms})
		}
		if h.wall.After(latest) {
			latest = h.wall
		}
	}
	for _, h := range w.net.hosts {
		h.wall = latest.Add(3 * time.Second) // some clock had gone back from what is parked elsewhere
	}
	for _, l := range w.links {
		w.net.down(l[0], l[1])
		w.net.up(l[0], l[1])
	}
	const ticksMax = 400
	for range ticksMax {
		w.net.tick()
		w.net.run()
		if w.atRest() {
			return
		}
	}
	for _, h := range w.net.hosts {
		w.t.Logf("%s: %s", h.name, marksText(h.core.Marks()))
	}
	require.Fail(w.t, "the sites do not come to rest")
}

func (w *world) atRest() bool {
	first := marksText(w.net.hosts[0].core.Marks())
	return !slices.ContainsFunc(w.net.hosts, func(h *host) bool { return marksText(h.core.Marks()) != first })
}

// judge holds what must be true once everything has healed.
func (w *world) judge() {
	winners := map[string]record.Version{}
	var all []version.Dot
	for _, h := range w.net.hosts {
		w.check(h)
		w.count(h)
		w.logOf(h)
		for _, it := range h.log {
			r, err := it.Entry.Record()
			require.NoError(w.t, err)
			if r.IsNote() || r.Origin != h.cfg.Origin {
				continue
			}
			all = append(all, r.Dot)
			for i := range r.Mutations {
				key, v := string(r.Mutations[i].Key), conflict.VersionOf(&r, &r.Mutations[i])
				if was, ok := winners[key]; !ok || conflict.Compare(v, was) > 0 {
					winners[key] = v
				}
			}
		}
	}
	for _, h := range w.net.hosts {
		for _, other := range w.net.hosts {
			require.Equal(w.t, other.stateText(h.name), h.stateText(other.name), "equal vectors, equal stores, as far as both hold them")
		}
		for key, v := range winners {
			if !h.cfg.Filters.Holds(h.name, tableOf(key)) {
				require.NotContains(w.t, h.store, key, "a site that does not hold its table has it")
				continue
			}
			require.Equal(w.t, []record.Version{v}, h.store[key].Siblings, "the greatest of all writes stays")
		}
		for _, d := range h.acked {
			require.Contains(w.t, all, d, "an acknowledged write is gone")
		}
		w.hits["acknowledged writes"] += uint64(len(h.acked))
		for _, it := range h.log {
			if it.Skip != nil {
				w.hits["records in part"]++
			}
		}
	}
}

// logOf holds what is true of every log: origins in sequence, everything behind
// what it depends on, times that extend causal order.
func (w *world) logOf(h *host) {
	var seen version.Vector
	times := map[version.Dot]version.Timestamp{}
	for _, it := range h.log {
		r, err := it.Entry.Record()
		require.NoError(w.t, err)
		if r.IsNote() {
			p := core.Position{LSN: it.Entry.LSN - 1}
			_, err := p.Add(it.Entry)
			require.NoError(w.t, err)
			for _, m := range p.Marks { // of a snapshot
				seen = seen.With(m.Origin, max(m.Seq, seen.Get(m.Origin)))
			}
			continue
		}
		require.Equal(w.t, seen.Get(r.Origin)+1, r.Seq)
		require.True(w.t, seen.Descends(r.Deps), "%v stands before what it depends on", r.Dot)
		for d, at := range times {
			if core.Covers(&r).Has(d) {
				require.Greater(w.t, r.Time, at, "%v covers %v", r.Dot, d)
			}
		}
		seen = seen.With(r.Origin, r.Seq)
		times[r.Dot] = r.Time
	}
}

// Sites in every shape converge, whatever the network and the disks do: the same
// records, the same bytes, the greatest write of all for each key, and nothing
// lost that was acknowledged but to a later writer, which is counted.
func TestSitesConverge(t *testing.T) {
	hits := reached{}
	one := func(s uint64) {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			w := newWorld(t, s, hits)
			for range 150 {
				w.step()
			}
			w.heal()
			w.judge()
		})
	}
	if *seed != 0 {
		one(*seed)
		return
	}
	for s := range uint64(*seeds) {
		one(s + 1)
	}
	for _, name := range []string{
		"acknowledged writes", "delivered", "duplicates", "full queues", "gaps asked for", "parked origins",
		"sent again", "lost to a later writer", "lost messages", "snapshots", "crashes that lost a tail",
		"worlds with filters", "records in part",
	} {
		require.NotZero(t, hits[name], "no schedule reached: %s", name)
	}
	require.Zero(t, hits["left out by mistake"], "all are configured alike")
	t.Log(hits)
}
