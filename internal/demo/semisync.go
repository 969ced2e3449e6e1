package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// fitsSemiSync wants a follower without which nothing is committed, and another.
func fitsSemiSync(c *config.Cluster) error {
	p := c.Topology.Sync.Policy
	if p.Kind != quorum.KindFirst || p.K != 1 || len(p.Of) != 1 {
		return fmt.Errorf("it needs one synchronous replica, as in sync: first 1 (b), and has %v", p)
	}
	if len(c.Replicas) < 3 {
		return errors.New("it needs a replica that is not synchronous")
	}
	return nil
}

// trio is what the phases of semiSync share.
type trio struct {
	*demo
	sync   *node
	others []*node
}

func playSemiSync(ctx context.Context, d *demo) error {
	t := &trio{demo: d}
	return d.phases(ctx, []phase{
		{"one replica is synchronous", t.boot},
		{"acknowledged is what the synchronous replica has", t.acknowledged},
		{"the synchronous replica is cut off, and comes back", t.cutOff},
		{"a replica that is not synchronous does not lead", t.fail},
		{"what everybody holds", t.same},
	})
}

func (t *trio) boot(ctx context.Context) error {
	s, err := t.roles(ctx)
	if err != nil {
		return err
	}
	counted, others := t.counted(s)
	if len(counted) != 1 {
		return fmt.Errorf("commits wait for %s, and one was to be waited for", idsOf(counted))
	}
	t.sync, t.others = counted[0], others
	t.held("commits wait for %s, and not for %s", t.sync.ID, idsOf(others))
	return nil
}

func (t *trio) acknowledged(ctx context.Context) error {
	var rows [][]string
	for i, name := range []string{"Alice", "Bob", "Charlie"} {
		r, err := t.write(ctx, fmt.Sprint(1001+i), name)
		if err != nil {
			return err
		}
		rows = append(rows, []string{fmt.Sprint(r.LSN), fmt.Sprint(1001 + i), name, names(r.Durable)})
		if err := t.durable(r); err != nil {
			t.table(acknowledgedHeader, rows)
			return err
		}
	}
	t.table(acknowledgedHeader, rows)
	t.held("3 writes, each on the disks of %s and %s when it was acknowledged", t.leader.ID, t.sync.ID)
	return nil
}

var acknowledgedHeader = []string{"lsn", "key", "value", "durable at"}

// durable wants a write to have been acknowledged with the synchronous replica.
func (t *trio) durable(r client.Receipt) error {
	if r.Durability < topology.Flushed || !slices.Contains(r.Durable, t.leader.ID) || !slices.Contains(r.Durable, t.sync.ID) {
		return fmt.Errorf("LSN %d was acknowledged %v at %s, without %s", r.LSN, r.Durability, names(r.Durable), t.sync.ID)
	}
	return nil
}

const (
	keyUnknown = "1004"
	keyWaits   = "1005"

	cutPatience = time.Second // of a write that nobody will acknowledge
)

// cutOff cuts the synchronous replica from all others, and heals that.
func (t *trio) cutOff(ctx context.Context) error {
	if err := t.c.tell(ctx, wordCut, t.sync); err != nil {
		return err
	}
	t.line("%s is cut off from %s", t.sync.ID, idsOf(append([]*node{t.leader}, t.others...)))
	impatient, cancel := context.WithTimeout(ctx, cutPatience)
	r, err := t.write(impatient, keyUnknown, "Dana")
	cancel()
	if err == nil {
		return fmt.Errorf("LSN %d was acknowledged at %s while %s was cut off", r.LSN, names(r.Durable), t.sync.ID)
	}
	var outcome *topology.Error
	if !errors.Is(err, topology.ErrTimeout) || !errors.As(err, &outcome) || outcome.Outcome != topology.Unknown {
		return fmt.Errorf("a write that nobody can acknowledge should time out, and its outcome be unknown: %w", err)
	}
	t.line("a write with %v of patience: %v", cutPatience, err)
	type answer struct {
		receipt client.Receipt
		err     error
	}
	waiting := make(chan answer, 1)
	go func() {
		table, kind := t.writable()
		r, err := t.all.Put(ctx, table, []byte(keyWaits), valueOf(kind, "Eve"))
		waiting <- answer{r, err}
	}()
	hidden := t.hidden(ctx)
	if err := t.c.tell(ctx, wordHeal, t.sync); err != nil {
		return errors.Join(hidden, err)
	}
	a := <-waiting
	if err := errors.Join(hidden, a.err); err != nil {
		return err
	}
	t.latest = a.receipt
	t.line("%s is back: a write that had waited was acknowledged at %s", t.sync.ID, names(a.receipt.Durable))
	if err := t.durable(a.receipt); err != nil {
		return err
	}
	for _, n := range t.c.keepers() {
		for key, text := range map[string]string{keyUnknown: "Dana", keyWaits: "Eve"} {
			if _, err := t.reads(ctx, t.at[n.ID], n, key, text, client.After(t.latest.Token)); err != nil {
				return err
			}
		}
	}
	t.held("no write was acknowledged or shown without %s; since it is back both are there: the one that waited, and the one whose outcome was unknown", t.sync.ID)
	return nil
}

// hidden wants no node to show what was not acknowledged.
func (t *trio) hidden(ctx context.Context) error {
	table, _ := t.writable()
	for _, n := range t.c.keepers() {
		r, err := t.at[n.ID].Get(ctx, table, []byte(keyUnknown), client.Any())
		if err == nil {
			return fmt.Errorf("%s shows %q, which was not committed", n.ID, r.Value)
		}
		if !errors.Is(err, topology.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (t *trio) fail(ctx context.Context) error {
	for _, n := range t.others {
		if err := t.refused(ctx, n); err != nil {
			return err
		}
	}
	t.held("a failover to %s, where an acknowledged write might be missing, is refused and changes nothing", idsOf(t.others))
	return nil
}
