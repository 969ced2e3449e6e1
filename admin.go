package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/topology"
)

// Status is what the node knows of itself and, where it leads, of the others. It
// never waits, and may be asked ten times a second.
func (n *Node) Status() topology.Status {
	s := n.engine.Status()
	s.Node, s.Cluster, s.Undefined = n.config.ID, n.config.Cluster, n.catalogue.undefined()
	s.Scrub = n.disks.scrubbed()
	for _, d := range s.Scrub.Damage {
		s.Warnings = append(s.Warnings, "damaged: "+d)
	}
	if err := store.Full(n.store); err != nil {
		s.Warnings = append(s.Warnings, err.Error())
	}
	s.Warnings = append(s.Warnings, n.home.Warnings()...)
	s.Warnings = append(s.Warnings, n.catalogue.slots.warnings()...)
	if m, ok := n.membership.(interface{ Warnings() []string }); ok {
		s.Warnings = append(s.Warnings, m.Warnings()...)
	}
	if !n.identity.isKnown() {
		s.Warnings = append(s.Warnings, "this node is new and waits for a member of its cluster")
	}
	select {
	case <-n.gate.shut:
		if s.Failure == "" {
			s.Failure = n.gate.reason.Error()
		}
		s.Role = topology.RoleFailed
	default:
	}
	return s
}

// writable is why a leader takes no write: its store could not bring to disk what it
// would commit. Who does not lead says so first.
func writable(n *Node) error {
	err := store.Full(n.store)
	if err == nil || n.engine.Status().Role != topology.RoleLeader {
		return nil
	}
	return err
}

// Promote makes this node the leader of a new term by hand (rule K2). Unless
// forced it refuses, and changes nothing it can avoid, where that could lose a
// committed write or end in two leaders.
func (n *Node) Promote(ctx context.Context, force bool) (topology.Promotion, error) {
	err := n.gate.enter(ctx)
	if err != nil {
		return topology.Promotion{}, n.errorOf("promote", "", nil, notApplied(err))
	}
	defer n.gate.leave()
	p, ok := n.engine.(topology.Promoter)
	if !ok {
		err = notApplied(fmt.Errorf("this topology has no leader to be made: %w", topology.ErrUnsupported))
		return topology.Promotion{}, n.errorOf("promote", "", nil, err)
	}
	done, err := p.Promote(ctx, force)
	if err != nil {
		return done, n.errorOf("promote", "", nil, err)
	}
	return done, nil
}

// CreateTable defines a table. One that is defined so already is no error; one
// that is defined otherwise is a [Contradiction], topology.ErrConflict. Only
// the leader defines tables.
func (n *Node) CreateTable(ctx context.Context, t Table) error {
	if err := n.gate.enter(ctx); err != nil {
		return n.errorOf("create table", t.Name, nil, notApplied(err))
	}
	defer n.gate.leave()
	if _, err := n.catalogue.create(ctx, t); err != nil {
		return n.errorOf("create table", t.Name, nil, err)
	}
	return nil
}

// DropTable removes a table and all it holds. Its name is free at once, its number
// is not given again, and the keys are removed in the background, by the leader.
// One that is not there is topology.ErrNoTable; one that this node's own
// configuration names is topology.ErrConflict, as it would be defined again.
func (n *Node) DropTable(ctx context.Context, name string) error {
	err := n.gate.enter(ctx)
	if err != nil {
		return n.errorOf("drop table", name, nil, notApplied(err))
	}
	defer n.gate.leave()
	for _, t := range n.config.Tables {
		if t.Name == name {
			err = fmt.Errorf("the configuration of node %s names table %s: take it out there and restart the node first, "+
				"or the table is defined again: %w", n.config.ID, name, topology.ErrConflict)
			return n.errorOf("drop table", name, nil, notApplied(err))
		}
	}
	if err := n.catalogue.drop(ctx, name); err != nil {
		return n.errorOf("drop table", name, nil, err)
	}
	return nil
}

// Tables returns all tables by name, the default one included. Options: those of
// [Node.Get].
func (n *Node) Tables(ctx context.Context, opts ...Option) ([]Table, error) {
	ts, err := inner{n}.tables(ctx, opts)
	if err != nil {
		return nil, n.errorOf("tables", "", nil, err)
	}
	return ts, nil
}

func (n inner) tables(ctx context.Context, opts []Option) ([]Table, error) {
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return nil, notApplied(err)
	}
	defer n.gate.leave()
	o, err := n.readOptions(ctx, &w)
	if err != nil {
		return nil, notApplied(err)
	}
	return n.catalogue.list(ctx, o)
}
