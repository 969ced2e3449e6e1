package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/topology"
)

// changeTimeout bounds one change of who takes part: whoever is added has to catch up.
const changeTimeout = 30 * time.Second

// roll is a world as it changes who takes part, and who leads.
type roll struct{ *World }

// comeAndGo lets nodes join, and in the end leave again, or the other way round.
func (w roll) comeAndGo(ctx context.Context, f scenario.Fault, ns []*Node) (mend func(context.Context) error, err error) {
	first, then := w.join, w.leave
	if f.Do == scenario.Leave {
		first, then = w.leave, w.join
	}
	each := func(ctx context.Context, do func(context.Context, []*Node) error) error {
		ctx, cancel := context.WithTimeoutCause(ctx, changeTimeout, fmt.Errorf("not within %v", changeTimeout))
		defer cancel()
		if w.o.Variant.Topology != scenario.MultiLeader {
			for _, n := range ns {
				if err := do(ctx, []*Node{n}); err != nil {
					return err
				}
			}
			return nil
		}
		for _, site := range w.o.Scenario.Sites {
			var ofSite []*Node
			for _, n := range ns {
				if n.Site == site {
					ofSite = append(ofSite, n)
				}
			}
			if len(ofSite) == 0 {
				continue
			}
			if err := do(ctx, ofSite); err != nil {
				return err
			}
		}
		return nil
	}
	return func(ctx context.Context) error { return each(ctx, then) }, each(ctx, first)
}

// join starts nodes, in empty directories, and adds them: one member, or one site.
func (w roll) join(ctx context.Context, ns []*Node) error {
	for _, n := range ns {
		if err := os.RemoveAll(n.dir); err != nil {
			return err
		}
		n.joins.Store(true)
		if err := n.start(); err != nil {
			return err
		}
	}
	add := func(ctx context.Context) error {
		c, addr, err := w.whoCounts()
		if err != nil || w.stands(ctx, ns[0].Site, "joining") == nil || w.stands(ctx, ns[0].Site, "active") == nil {
			return err
		}
		if w.o.Variant.Topology == scenario.MultiLeader {
			return c.Operator().AddSite(ctx, addr, ns[0].Site)
		}
		n := ns[0]
		return c.Operator().AddMember(ctx, addr, topology.Seat{Member: topology.Member{ID: topology.NodeID(n.ID), Addr: n.addr, Site: n.Site}, Role: topology.MemberVoter})
	}
	if err := Until(ctx, add); err != nil {
		return fmt.Errorf("add %s: %w", ns[0].ID, err)
	}
	if w.o.Variant.Topology == scenario.MultiLeader {
		if err := Until(ctx, func(ctx context.Context) error { return w.stands(ctx, ns[0].Site, "active") }); err != nil {
			return err
		}
	}
	for _, n := range ns {
		n.absent.Store(false) // its clients come
	}
	return nil
}

// leave removes nodes and ends them: one member, or one site.
func (w roll) leave(ctx context.Context, ns []*Node) error {
	for _, n := range ns {
		n.absent.Store(true) // its clients go elsewhere
	}
	remove := func(ctx context.Context) error {
		if w.Leader() == ns[0] {
			return w.handOver(ctx, ns[0])
		}
		c, addr, err := w.whoCounts()
		if err != nil || w.stands(ctx, ns[0].Site, "retiring") == nil || w.stands(ctx, ns[0].Site, "retired") == nil {
			return err
		}
		if w.o.Variant.Topology == scenario.MultiLeader {
			return c.Operator().RetireSite(ctx, addr, ns[0].Site)
		}
		return c.Operator().RemoveMember(ctx, addr, topology.NodeID(ns[0].ID))
	}
	if err := Until(ctx, remove); err != nil {
		return fmt.Errorf("remove %s: %w", ns[0].ID, err)
	}
	if w.o.Variant.Topology == scenario.MultiLeader {
		if err := Until(ctx, func(ctx context.Context) error { return w.stands(ctx, ns[0].Site, "retired") }); err != nil {
			return err
		}
	}
	for _, n := range ns {
		if err := n.stop(ctx); err != nil {
			return err
		}
	}
	return nil
}

// whoCounts is who may change who takes part: the leader, or where several lead the first
// node, which always takes part.
func (w roll) whoCounts() (c *client.Client, addr string, err error) {
	n := w.Leader()
	if w.o.Variant.Scattered() {
		n = w.nodes[0]
	}
	if n == nil {
		return nil, "", errNobodyLeads
	}
	c, err = n.operator()
	return c, n.addr, err
}

// stands returns nil if a site stands so, by what the first node says.
func (w roll) stands(ctx context.Context, site, standing string) error {
	if w.o.Variant.Topology != scenario.MultiLeader {
		return errNoSite
	}
	for _, s := range w.nodes[0].status(ctx).Sites {
		if s.Site != site {
			continue
		}
		if s.Standing == standing {
			return nil
		}
		return fmt.Errorf("site %s is %s, not %s yet", site, s.Standing, standing)
	}
	return errNoSite
}

var errNoSite = errors.New("there is no such site")

// handOver has a leader give way to the first node. It is not done at once.
func (w roll) handOver(ctx context.Context, leads *Node) error {
	c, err := leads.operator()
	if err == nil {
		_, err = c.Operator().Switchover(ctx, leads.addr, topology.NodeID(w.nodes[0].ID))
	}
	if err == nil {
		err = fmt.Errorf("%s still leads", leads.ID)
	}
	return err
}
