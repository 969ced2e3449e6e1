package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// Scenarios are what a demo can play.
const (
	ScenarioTour     = "tour"      // eight phases, from the first write to an election
	ScenarioLoad     = "load"      // a tree of files as rows; it needs Options.Load
	ScenarioFailover = "failover"  // a leader that is cut off and killed, and comes back
	ScenarioLag      = "lag"       // what readers of a late follower see, without tokens and with them
	ScenarioSemiSync = "semi-sync" // a cut off synchronous replica
	ScenarioPayments = "payments"  // what a standby, a read replica and a delayed one are for
	ScenarioReaders  = "readers"   // reads in a site far from the leader
	ScenarioWitness  = "witness"   // two nodes with data and a witness, each of which is lost in turn
	ScenarioConflict = "conflict"  // sites that all write: edits that meet, a site cut off, a leader killed
	ScenarioQuorum   = "quorum"    // nobody leads: fresh and stale reads, a node away, a disk lost, one more node
	ScenarioSiteLoss = "site-loss" // nobody leads, and sites answer by themselves: one is lost and comes back
	ScenarioWrites   = "writes"    // any cluster: writes, lag, the same bytes everywhere
)

// scenario is one of them.
type scenario struct {
	name  string
	of    string // the ready cluster it belongs to; others need a cluster that fits
	fits  func(*config.Cluster) error
	cuts  bool // it cuts links
	delay func(Options, *node) time.Duration
	play  func(context.Context, *demo) error
	limit time.Duration // of each of its phases; 0: phaseTimeout
}

// scenarios are a function, as what they play looks at them too.
func scenarios() []scenario {
	return []scenario{
		{name: ScenarioTour, of: NameDefault, fits: fitsTour, delay: tourDelay, play: playTour},
		{name: ScenarioLoad, fits: fitsLoad, delay: tourDelay, play: playLoad},
		{name: ScenarioFailover, fits: fitsFailover, cuts: true, play: playFailover},
		{name: ScenarioLag, fits: fitsLag, delay: lagOf, play: playLag},
		{name: ScenarioSemiSync, of: "semi-sync-trio", fits: fitsSemiSync, cuts: true, play: playSemiSync},
		{name: ScenarioPayments, of: "payments", fits: fitsPayments, delay: paymentsDelay, play: playPayments},
		{name: ScenarioReaders, of: "geo-readers", fits: fitsReaders, play: playReaders},
		{name: ScenarioWitness, of: "two-and-a-witness", fits: fitsWitness, play: playWitness},
		{name: ScenarioConflict, of: "multi-leader", fits: fitsConflict, cuts: true, play: playConflict},
		{name: ScenarioQuorum, of: "leaderless", fits: fitsQuorum, play: playQuorum, limit: quorumLimit},
		{name: ScenarioSiteLoss, of: "active-active", fits: fitsSiteLoss, play: playSiteLoss, limit: quorumLimit},
		{name: ScenarioWrites, play: playWrites},
	}
}

// ScenarioNames are the names of all.
func ScenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// scenario is the name of the one that belongs to a cluster.
func (l *Layout) scenario() string {
	for _, s := range scenarios() {
		if l.Ready && s.of == l.Name {
			return s.name
		}
	}
	if l.cluster.SeveralLead() {
		return ScenarioConflict
	}
	if l.cluster.NobodyLeads() && l.cluster.Topology.Local() {
		return ScenarioSiteLoss
	}
	if l.cluster.NobodyLeads() {
		return ScenarioQuorum
	}
	return ScenarioWrites
}

// findScenario returns the scenario of the options, if the cluster is one that it
// can be played on.
func findScenario(o Options) (scenario, error) {
	all := scenarios()
	i := slices.IndexFunc(all, func(s scenario) bool { return s.name == o.Scenario })
	if i < 0 {
		hint := ""
		if near := strict.Nearest(o.Scenario, ScenarioNames()); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		return scenario{}, fmt.Errorf("%w: scenario %.64q: one of %s%s", ErrInput, o.Scenario, strings.Join(ScenarioNames(), ", "), hint)
	}
	s := all[i]
	if o.Layout.cluster.SeveralLead() && s.name != ScenarioConflict {
		return s, fmt.Errorf("%w: scenario %s can not be played on %s: it is of one leader; %s is played where every site has one", ErrInput, s.name, o.Layout.Name, ScenarioConflict)
	}
	if o.Layout.cluster.NobodyLeads() && s.name != ScenarioQuorum && s.name != ScenarioSiteLoss {
		return s, fmt.Errorf("%w: scenario %s can not be played on %s: nobody leads it; %s is played there", ErrInput, s.name, o.Layout.Name, ScenarioQuorum)
	}
	if s.fits != nil {
		if err := s.fits(o.Layout.cluster); err != nil {
			return s, fmt.Errorf("%w: scenario %s can not be played on %s: %w", ErrInput, s.name, o.Layout.Name, err)
		}
	}
	return s, nil
}

// phase is one part of a scenario.
type phase struct {
	title string
	play  func(context.Context) error
}

// phases plays one after another, each within the time-out and what is slow about
// the cluster.
func (d *demo) phases(ctx context.Context, ps []phase) error {
	for i, p := range ps {
		d.phase(i+1, p.title)
		if err := d.step(ctx, cmp.Or(d.play.limit, phaseTimeout)+d.slowest(), p.play); err != nil {
			if left := len(ps) - i - 1; left > 0 && errors.Is(err, ErrCheck) {
				d.note("%s not played", count(left, "phase was", "phases were"))
			}
			return err
		}
	}
	return nil
}

// lateMax is the longest apply delay that a demo waits for. A node that is later is
// not compared.
const lateMax = time.Minute

// slowest is the longest apply delay that is waited for.
func (g *group) slowest() time.Duration {
	var most time.Duration
	for _, n := range g.c.nodes {
		if n.ApplyDelay <= lateMax {
			most = max(most, n.ApplyDelay)
		}
	}
	return most
}

// readsOnly reports whether the node is one that no commit counts.
func (n *node) readsOnly() bool {
	return n.role == config.RoleReadReplica || n.role == config.RoleDelayed
}

// mayLead reports whether it is one that an election may choose.
func (n *node) mayLead() bool { return !n.readsOnly() && n.role != config.RoleWitness }

// holds reports whether a cluster has a table of that kind.
func holds(c *config.Cluster, name, kind string) bool {
	return slices.ContainsFunc(c.Tables, func(t config.Table) bool { return t.Name == name && t.Kind == kind })
}

// writable is a table that a demo can write to: the first of rows or bytes, else
// the one that is always there. Where several sites write it is none of rows: their
// columns are settled one by one, and one of which the last writer wins.
func (g *group) writable() (name string, kind record.Kind) {
	for _, t := range g.c.of.Tables {
		plain := t.Resolver == "" || t.Resolver == "lww"
		if k, err := triad.ParseKind(t.Kind); err == nil && (k == record.KindRow && !g.c.of.SeveralLead() || k == record.KindBytes && plain) {
			return t.Name, k
		}
	}
	return tableDefault, record.KindBytes
}

// tableDefault is there in every cluster.
const tableDefault = "default"

// textOf is the text of a value that valueOf made.
func textOf(kind record.Kind, value []byte) string {
	if kind != record.KindRow {
		return string(value)
	}
	r := pack.NewReader(value)
	if r.Map() != 1 || r.Str() != columnName {
		return rowText(value)
	}
	return r.Str()
}

// valueOf is a value for a table of that kind.
func valueOf(kind record.Kind, text string) []byte {
	if kind == record.KindRow {
		return user(text)
	}
	return []byte(text)
}
