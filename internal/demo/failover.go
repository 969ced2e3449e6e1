package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// fitsElection wants members that elect a leader that has what was acknowledged.
func fitsElection(c *config.Cluster) error {
	if !c.Control.Elects() {
		return errors.New("its members do not elect their leader; as in control: {kind: raft}")
	}
	if p := c.Topology.Sync.Policy; p.Kind == quorum.KindAsync {
		return fmt.Errorf("an asynchronous group elects no leader; as in sync: first 1 (…), and it has %v", p)
	}
	return nil
}

// fitsFailover wants a group that can lose its leader.
func fitsFailover(c *config.Cluster) error {
	if votes := len(c.Control.Voters); votes < 3 && c.Control.Options == nil || len(c.Replicas) < 3 {
		return errors.New("it needs three nodes that vote on who leads")
	}
	return fitsElection(c)
}

// elected waits until a living node leads a term after that, and takes the newest
// such for the leader.
func (g *group) elected(ctx context.Context, after uint64) (topology.Status, error) {
	newest := topology.Status{Term: after}
	err := until(ctx, func(ctx context.Context) error {
		var errs []error
		for _, n := range g.c.living() {
			s, err := g.status(ctx, n)
			if err == nil && s.Role == topology.RoleLeader && s.Term > newest.Term {
				newest, g.leader = s, n
			}
			errs = append(errs, err)
		}
		if newest.Term > after {
			return nil
		}
		return errors.Join(append(errs, fmt.Errorf("nobody leads a term after %d", after))...)
	})
	return newest, err
}

// begun waits until the members have elected a leader and those in sync are the ones
// that the policy prefers. It has the leader hand over where it is not the one that
// is wanted first: on a busy machine that one may be late.
func (g *group) begun(ctx context.Context) error {
	wanted := g.leader
	return until(ctx, func(ctx context.Context) error {
		s, err := g.elected(ctx, 0)
		if err != nil {
			return err
		}
		if g.leader != wanted {
			_, err := g.all.Operator().Switchover(ctx, g.leader.addr, wanted.ID)
			return errors.Join(fmt.Errorf("%s leads, not %s", g.leader.ID, wanted.ID), err)
		}
		var ids []topology.NodeID
		for _, p := range s.Peers {
			if p.Sync {
				ids = append(ids, p.Node)
			}
		}
		slices.Sort(ids)
		if want := g.preferred(); !slices.Equal(ids, want) {
			return fmt.Errorf("commits wait for %s, not for %s", names(ids), names(want))
		}
		return nil
	})
}

// preferred are those who are in sync where all are well, in the order of their names.
func (g *group) preferred() (ids []topology.NodeID) {
	p := g.c.of.Topology.Sync.Policy
	if p.Kind == quorum.KindAsync {
		return nil
	}
	for _, id := range p.Of {
		ids = append(ids, topology.NodeID(id))
	}
	for _, n := range g.c.nodes {
		if n.mayLead() && !slices.Contains(ids, n.ID) {
			ids = append(ids, n.ID)
		}
	}
	ids = slices.DeleteFunc(ids, func(id topology.NodeID) bool { return id == g.leader.ID })
	if p.Kind == quorum.KindFirst {
		ids = ids[:min(p.K, len(ids))]
	}
	slices.Sort(ids)
	return ids
}

// succession waits until those that live have elected a leader in place of old, and
// tells of it. latest is the last write that old acknowledged, and since when it was
// lost to the others.
func (d *demo) succession(ctx context.Context, old *node, latest client.Receipt, since time.Time) error {
	var rows [][]string
	for _, n := range d.followers() {
		s, err := d.status(ctx, n)
		if err != nil {
			return err
		}
		rows = append(rows, []string{string(n.ID), fmt.Sprint(s.Term), fmt.Sprint(s.Flushed), fmt.Sprint(s.Applied)})
	}
	d.table([]string{"follower", "term", "flush lsn", "replay lsn"}, rows)
	s, err := d.elected(ctx, latest.Term)
	if err != nil {
		return err
	}
	d.line("%s leads term %d, %v after %s was lost to the others; no operator was asked", s.Node, s.Term, time.Since(since).Round(time.Millisecond), old.ID)
	if d.leader == old || s.Flushed < latest.LSN {
		return fmt.Errorf("%s leads with LSN %d, and LSN %d was acknowledged by %s", s.Node, s.Flushed, latest.LSN, old.ID)
	}
	if err := until(ctx, d.led); err != nil {
		return err
	}
	if fs := d.followers(); len(fs) > 0 {
		d.line("%s follow it after %v", idsOf(fs), time.Since(since).Round(time.Millisecond))
	}
	return nil
}

// fall is what the phases of the scenario failover share.
type fall struct {
	*demo
	old    *node
	since  time.Time         // when it was cut off
	before client.Receipt    // the last write that the old leader acknowledged
	kept   map[string]string // what was acknowledged, by key
	vain   []string          // the keys of what was not
}

func playFailover(ctx context.Context, d *demo) error {
	f := &fall{demo: d, kept: map[string]string{}}
	return d.phases(ctx, []phase{
		{"a leader, and others that can take its place", f.boot},
		{"the leader is cut off, and goes on writing", f.cutOff},
		{"it is killed, and the others elect", f.elect},
		{"it comes back with what nobody else has", f.rejoin},
		{"what everybody holds", f.same},
	})
}

func (f *fall) boot(ctx context.Context) error {
	s, err := f.roles(ctx)
	if err != nil {
		return err
	}
	for i, name := range []string{"Alice", "Bob", "Charlie"} {
		if err := f.keep(ctx, fmt.Sprint(1001+i), name); err != nil {
			return err
		}
	}
	f.old, f.before = f.leader, f.latest
	f.held("%s leads term %d, and 3 writes up to LSN %d are on its disk and on another", s.Node, s.Term, f.latest.LSN)
	return nil
}

// keep makes a write that has to be acknowledged, by the leader and one more.
func (f *fall) keep(ctx context.Context, key, text string) error {
	r, err := f.write(ctx, key, text)
	if err != nil {
		return err
	}
	f.kept[key] = text
	if !slices.Contains(r.Durable, f.leader.ID) || len(r.Durable) < 2 {
		return fmt.Errorf("LSN %d was acknowledged at %s, not at %s and one more", r.LSN, names(r.Durable), f.leader.ID)
	}
	return nil
}

const (
	vainWrites   = 3
	vainPatience = 300 * time.Millisecond // with writes that nobody will acknowledge
)

// cutOff parts the leader from all others, but not from its clients.
func (f *fall) cutOff(ctx context.Context) error {
	if err := f.c.tell(ctx, wordCut, f.old); err != nil {
		return err
	}
	f.since = time.Now()
	f.line("%s is cut off from %s, and its clients reach it", f.old.ID, idsOf(f.followers()))
	giveUp, cancel := context.WithCancel(ctx)
	defer cancel()
	table, kind := f.writable()
	answers := make([]error, vainWrites)
	for i := range answers {
		f.vain = append(f.vain, fmt.Sprint(2001+i))
	}
	var wait sync.WaitGroup
	for i, key := range f.vain {
		wait.Go(func() {
			_, answers[i] = f.at[f.old.ID].Put(giveUp, table, []byte(key), valueOf(kind, "Nobody"))
		})
	}
	var s topology.Status
	err := until(ctx, func(ctx context.Context) (err error) {
		if s, err = f.status(ctx, f.old); err == nil && s.Flushed < f.before.LSN+vainWrites {
			err = fmt.Errorf("%s has flushed LSN %d, and was given %d writes after LSN %d", f.old.ID, s.Flushed, vainWrites, f.before.LSN)
		}
		return err
	})
	pause(ctx, vainPatience)
	cancel()
	wait.Wait()
	if err != nil {
		return errors.Join(append(answers, err)...)
	}
	for i, err := range answers {
		var outcome *topology.Error
		if !errors.As(err, &outcome) || outcome.Outcome != topology.Unknown {
			return fmt.Errorf("%s/%s was written to a leader that is cut off; its outcome should be unknown: %w", table, f.vain[i], err)
		}
	}
	f.line("%d writes, given up after %v: %v", vainWrites, vainPatience, answers[0])
	if s.Commit > f.before.LSN {
		return fmt.Errorf("%s has committed LSN %d alone", f.old.ID, s.Commit)
	}
	f.held("%s has LSN %d to %d on its own disk, and acknowledged none of them", f.old.ID, f.before.LSN+1, s.Flushed)
	return nil
}

func (f *fall) elect(ctx context.Context) error {
	if err := f.c.kill(ctx, f.old); err != nil {
		return err
	}
	f.line("%s was killed", f.old.ID)
	if err := f.succession(ctx, f.old, f.before, f.since); err != nil {
		return err
	}
	if err := f.keep(ctx, "1004", "Dana"); err != nil {
		return err
	}
	if err := f.shown(ctx); err != nil {
		return err
	}
	f.held("%s took over in term %d with every acknowledged write, none of the others, and goes on: LSN %d is acknowledged at %s",
		f.leader.ID, f.latest.Term, f.latest.LSN, names(f.latest.Durable))
	return nil
}

// shown wants every living node to show what was acknowledged, and nothing of what
// was not.
func (f *fall) shown(ctx context.Context) error {
	table, _ := f.writable()
	for _, n := range f.c.keepers() {
		for key, text := range f.kept {
			if _, err := f.reads(ctx, f.at[n.ID], n, key, text, client.After(f.latest.Token)); err != nil {
				return err
			}
		}
		for _, key := range f.vain {
			r, err := f.at[n.ID].Get(ctx, table, []byte(key), client.After(f.latest.Token))
			if err == nil {
				return fmt.Errorf("%s/%s at %s is %q, and was never acknowledged", table, key, n.ID, r.Value)
			}
			if !errors.Is(err, topology.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// rejoin starts the old leader again. It has to give up what the others never had.
func (f *fall) rejoin(ctx context.Context) error {
	if err := f.c.restart(f.old); err != nil {
		return err
	}
	if err := f.c.tell(ctx, wordHeal, f.old); err != nil {
		return err
	}
	if err := until(ctx, f.led); err != nil {
		return err
	}
	if err := f.caughtUp(ctx, f.latest.Token); err != nil {
		return err
	}
	f.line("%s is back, and follows %s", f.old.ID, f.leader.ID)
	if err := f.aside(ctx); err != nil {
		return err
	}
	if err := f.shown(ctx); err != nil {
		return err
	}
	f.held("what %s alone had is kept in a side file, shown by nobody, and known as not applied to whoever asks", f.old.ID)
	return nil
}

// aside lists what the old leader gave up, which has to be what it wrote in vain, each
// known as not applied; nobody else may have given up anything.
func (f *fall) aside(ctx context.Context) error {
	var files, writes [][]string
	missing := map[string]bool{}
	for _, key := range f.vain {
		missing[key] = true
	}
	for _, n := range f.c.keepers() {
		side := home.Aside(vfs.Default, n.Dir)
		kept, err := side.List()
		if err != nil {
			return err
		}
		for _, k := range kept {
			if n != f.old {
				return fmt.Errorf("%s gave up LSN %d to %d: %s", n.ID, k.First, k.Last, k.Why)
			}
			files = append(files, []string{k.Name, fmt.Sprint(k.First), fmt.Sprint(k.Last), fmt.Sprint(k.Records), k.Why})
			for e, err := range side.Entries(k.Name) {
				if err != nil {
					return fmt.Errorf("%s of %s: %w", k.Name, n.ID, err)
				}
				row, err := f.givenUp(ctx, e, missing)
				if err != nil {
					return err
				}
				writes = append(writes, row)
			}
		}
	}
	f.line("%s rewound list %s", f.o.Command, f.old.Dir)
	f.table([]string{"file", "first lsn", "last lsn", "records", "why"}, files)
	f.line("what they hold, and what became of it")
	f.table([]string{"lsn", "term", "transaction", "key", "resolved"}, writes)
	if len(missing) > 0 {
		return fmt.Errorf("%d writes that %s alone had are in none of its side files", len(missing), f.old.ID)
	}
	return nil
}

// givenUp asks the cluster what became of a write that was taken out of a log, and
// takes its keys off those that are missing.
func (f *fall) givenUp(ctx context.Context, e record.Entry, missing map[string]bool) ([]string, error) {
	r, err := e.Record()
	if err != nil {
		return nil, err
	}
	what, err := f.all.Resolve(ctx, r.Dot, r.Term)
	if err != nil {
		return nil, err
	}
	if what.Fate != topology.FateNotApplied {
		return nil, fmt.Errorf("%v of term %d was taken out of the log, and the cluster says that it was %v", r.Dot, r.Term, what.Fate)
	}
	var keys []string
	for _, m := range r.Mutations {
		delete(missing, string(m.Key))
		keys = append(keys, string(m.Key))
	}
	return []string{fmt.Sprint(e.LSN), fmt.Sprint(e.Term), r.Dot.String(), strings.Join(slices.Compact(keys), ", "), what.Fate.String()}, nil
}
