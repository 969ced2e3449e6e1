package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/quorum"
)

// fitsWitness wants two nodes with data, either of which goes on alone, and a witness.
func fitsWitness(c *config.Cluster) error {
	votes, witnesses := 0, 0
	for _, r := range c.Replicas {
		switch r.Role {
		case config.RoleWitness:
			witnesses++
		case config.RoleReadReplica, config.RoleDelayed:
		default:
			votes++
		}
	}
	if votes != 2 || witnesses != 1 {
		return errors.New("it needs two nodes that may lead and a witness, as in nodes: {a: leader, b: standby, w: witness}")
	}
	if p := c.Topology.Sync.Policy; p.Kind != quorum.KindFirst || c.Topology.MinInSync != 1 {
		return errors.New("either node has to go on alone, as in topology: {sync: first 1, min_in_sync: 1}")
	}
	return fitsElection(c)
}

// pair is what the phases of the scenario witness share.
type pair struct {
	*demo
	witness *node
	kept    map[string]string // what was acknowledged, by key
}

func playWitness(ctx context.Context, d *demo) error {
	p := &pair{demo: d, kept: map[string]string{}}
	for _, n := range d.c.nodes {
		if n.role == config.RoleWitness {
			p.witness = n
		}
	}
	return d.phases(ctx, []phase{
		{"two that keep data, and one that votes", p.boot},
		{"the leader is killed", p.takeOver},
		{"it comes back, and the other is killed", p.takeOver},
		{"that comes back too, and the witness is killed", p.without},
		{"what everybody holds", p.same},
	})
}

func (p *pair) boot(ctx context.Context) error {
	s, err := p.roles(ctx)
	if err != nil {
		return err
	}
	if err := p.keep(ctx); err != nil {
		return err
	}
	table, _ := p.writable()
	r, err := p.at[p.witness.ID].Get(ctx, table, []byte("1001"), client.After(p.latest.Token))
	switch {
	case err != nil:
		return fmt.Errorf("%s sends nobody to who has the data: %w", p.witness.ID, err)
	case r.Served == p.witness.ID:
		return fmt.Errorf("%s answers reads, and is to keep nothing", p.witness.ID)
	}
	p.held("%s leads term %d; a write is on the disks of %s, and %s keeps none of it", s.Node, s.Term, names(p.latest.Durable), p.witness.ID)
	return nil
}

// keep makes one more write, that has to be acknowledged.
func (p *pair) keep(ctx context.Context) error {
	key, text := fmt.Sprint(1001+len(p.kept)), fmt.Sprintf("value %d", len(p.kept))
	if _, err := p.write(ctx, key, text); err != nil {
		return err
	}
	p.kept[key] = text
	return nil
}

// both waits until commits wait for both again, and makes a write that does.
func (p *pair) both(ctx context.Context) error {
	if err := until(ctx, p.led); err != nil {
		return err
	}
	err := until(ctx, func(ctx context.Context) error {
		s, err := p.status(ctx, p.leader)
		if err == nil {
			if counted, _ := p.counted(s); len(counted) == 0 {
				err = fmt.Errorf("commits wait for %s alone", p.leader.ID)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := p.keep(ctx); err != nil {
		return err
	}
	if len(p.latest.Durable) < 2 {
		return fmt.Errorf("LSN %d was acknowledged at %s, and not at two", p.latest.LSN, names(p.latest.Durable))
	}
	return nil
}

// back starts those again that were killed, and waits until both have all.
func (p *pair) back(ctx context.Context) error {
	for _, n := range p.c.nodes {
		if !n.away.Load() {
			continue
		}
		if err := p.c.restart(n); err != nil {
			return err
		}
		p.line("%s is started again", n.ID)
	}
	if err := p.both(ctx); err != nil {
		return err
	}
	p.line("LSN %d is on the disks of %s", p.latest.LSN, names(p.latest.Durable))
	return nil
}

// takeOver kills the leader once both have all. The other leads, and goes on alone.
func (p *pair) takeOver(ctx context.Context) error {
	if err := p.back(ctx); err != nil {
		return err
	}
	old, latest, since := p.leader, p.latest, time.Now()
	if err := p.c.kill(ctx, old); err != nil {
		return err
	}
	p.line("%s was killed", old.ID)
	if err := p.succession(ctx, old, latest, since); err != nil {
		return err
	}
	if err := p.keep(ctx); err != nil {
		return err
	}
	if err := p.shown(ctx); err != nil {
		return err
	}
	p.held("%s took over in term %d by its vote and that of %s, with all %d acknowledged writes, and acknowledges more alone", p.leader.ID, p.latest.Term, p.witness.ID, len(p.kept)-1)
	return nil
}

// without kills the witness: two that are well do not need it.
func (p *pair) without(ctx context.Context) error {
	if err := p.back(ctx); err != nil {
		return err
	}
	term := p.latest.Term
	if err := p.c.kill(ctx, p.witness); err != nil {
		return err
	}
	p.line("%s was killed", p.witness.ID)
	if err := p.both(ctx); err != nil {
		return err
	}
	if err := p.shown(ctx); err != nil {
		return err
	}
	if p.latest.Term != term {
		return fmt.Errorf("term %d began because %s was lost, which leads nobody", p.latest.Term, p.witness.ID)
	}
	p.held("without %s the two go on in term %d: LSN %d is on the disks of %s", p.witness.ID, term, p.latest.LSN, names(p.latest.Durable))
	return nil
}

// shown wants every living node that keeps data to show what was acknowledged.
func (p *pair) shown(ctx context.Context) error {
	for _, n := range p.c.keepers() {
		for key, text := range p.kept {
			if _, err := p.reads(ctx, p.at[n.ID], n, key, text, client.After(p.latest.Token)); err != nil {
				return err
			}
		}
	}
	return nil
}
