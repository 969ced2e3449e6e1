package triad

import (
	"context"
	"fmt"
	"iter"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Operator is a node as those see it who run a cluster: what it counts, what it
// remembers of the past, and how leaders are changed in order. What a topology does
// not have is topology.ErrUnsupported.
type Operator struct{ n *Node }

// Operator returns n as an operator sees it.
func (n *Node) Operator() Operator { return Operator{n} }

// Kept returns what replication took out of this node's log and put aside (rule
// C10), oldest first.
func (o Operator) Kept() ([]topology.Kept, error) { return o.n.home.Sidelog().List() }

// KeptEntries yields what is kept under a name, each entry checked against its
// sum.
func (o Operator) KeptEntries(name string) iter.Seq2[record.Entry, error] {
	return o.n.home.Sidelog().Entries(name)
}

// Counts returns what the node has counted since it was opened, and holds now. It
// never waits.
func (o Operator) Counts() topology.Counts {
	var c topology.Counts
	o.n.gate.counts.write(&c)
	b := o.n.log.Bounds()
	c.Fsyncs = wal.Syncs(o.n.log)
	c.LogBytes = o.n.log.Offset(b.End) - o.n.log.Offset(b.First-min(b.First, 1))
	c.StoreBytes = store.DiskBytes(o.n.store)
	if e, ok := o.n.engine.(topology.Counter); ok {
		e.Count(&c)
	}
	if e, ok := o.n.engine.(topology.ConflictCounter); ok {
		c.Conflicts = e.ConflictCounts()
	}
	return c
}

// StatusOf asks another member, or this node, for its status.
func (o Operator) StatusOf(ctx context.Context, id topology.NodeID) (topology.Status, error) {
	if id == o.n.config.ID {
		return o.n.Status(), nil
	}
	b, err := o.n.transport.Call(ctx, id, call.MethodStatus, call.EncodeNothing())
	var s topology.Status
	if err == nil {
		s, err = call.DecodeStatus(b)
	}
	if err != nil {
		return topology.Status{}, o.n.errorOf("status", "", nil, err)
	}
	return s, nil
}

// Members returns the members of the cluster by name, this node included, with what
// is known of where they are.
func (o Operator) Members() []Member {
	return append([]Member(nil), inner{o.n}.members()...)
}

// Promote is [Node.Promote].
func (o Operator) Promote(ctx context.Context, force bool) (topology.Promotion, error) {
	return o.n.Promote(ctx, force)
}

// Switchover hands leadership over to another node in order. It is asked of the
// leader; any other node is topology.ErrNotLeader, with who leads.
func (o Operator) Switchover(ctx context.Context, to topology.NodeID) (p topology.Promotion, err error) {
	err = o.with(ctx, "switchover", func() error {
		s, ok := o.n.engine.(topology.Switcher)
		if !ok {
			return notApplied(fmt.Errorf("this topology hands no leadership over: %w", topology.ErrUnsupported))
		}
		p, err = s.Switchover(ctx, to)
		return err
	})
	return p, err
}

// Restore makes this node lead from a point of the past, which it does not show more
// than, and has the whole cluster give up what came after; see [topology.Restorer]. With
// giveUp 0 it only says what that would be.
func (o Operator) Restore(ctx context.Context, to topology.Point, giveUp uint64) (p topology.Restoration, err error) {
	err = o.with(ctx, "restore", func() error {
		r, ok := o.n.engine.(topology.Restorer)
		if !ok {
			return notApplied(fmt.Errorf("this topology goes back to no point of its past: %w", topology.ErrUnsupported))
		}
		p, err = r.Restore(ctx, to, giveUp)
		return err
	})
	return p, err
}

// HandOver makes another node the leader, where nodes elect one and this one leads, as
// it is about to end: a program calls it before it ends what its clients are connected
// to, so that they are told where to go. Run and Close do it by themselves else. It
// returns within Limits.HandoverWait; where nobody else is in sync, or time runs out, the
// others elect a leader once this node has ended. After it, this node stands for no
// election. It does so once.
func (o Operator) HandOver(ctx context.Context) {
	n := o.n
	n.handover.Do(func() {
		r, ok := n.engine.(topology.Resigner)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, n.config.Limits.HandoverWait)
		defer cancel()
		switch p, err := r.Resign(ctx); {
		case err != nil:
			n.logger.Warn("leadership was not handed over before the end", "error", err)
		case p.Term > 0:
			n.logger.Info("handed over before the end", "leader", p.Leader, "term", p.Term)
		}
	})
}

// Explain says who would lead if the leader failed now, why nobody else would, and what
// would be lost. It asks all members, and changes nothing.
func (o Operator) Explain(ctx context.Context) (x topology.Explanation, err error) {
	err = o.with(ctx, "explain", func() error {
		e, ok := o.n.engine.(topology.Explainer)
		if !ok {
			return notApplied(fmt.Errorf("this topology has no leader to fail: %w", topology.ErrUnsupported))
		}
		x, err = e.Explain(ctx)
		return err
	})
	return x, err
}

// Pause keeps the cluster from electing a leader by itself, or ends that.
func (o Operator) Pause(ctx context.Context, paused bool) error {
	return o.with(ctx, "pause", func() error {
		p, ok := o.n.engine.(topology.Pauser)
		if !ok {
			return notApplied(fmt.Errorf("this topology elects no leader by itself: %w", topology.ErrUnsupported))
		}
		return p.Pause(ctx, paused)
	})
}

// Reigns returns the terms that this node knows of, oldest first.
func (o Operator) Reigns(ctx context.Context) (rs []topology.Reign, err error) {
	err = o.with(ctx, "history", func() error {
		c, ok := o.n.engine.(topology.Chronicler)
		if !ok {
			return notApplied(fmt.Errorf("this topology has no terms to remember: %w", topology.ErrUnsupported))
		}
		rs, err = c.Reigns(ctx)
		return err
	})
	return rs, err
}

// ApproveRewind lets a rewind of this node go on that waits for an operator, and
// returns how many records it takes out of the log; where none waits it is
// topology.ErrNotFound.
func (o Operator) ApproveRewind(ctx context.Context) (records uint64, err error) {
	err = o.with(ctx, "approve rewind", func() error {
		r, ok := o.n.engine.(topology.Rewinder)
		if !ok {
			return notApplied(fmt.Errorf("this topology rewinds nothing: %w", topology.ErrUnsupported))
		}
		records, err = r.ApproveRewind(ctx)
		return err
	})
	return records, err
}

// with does what an operator asks for while the node runs.
func (o Operator) with(ctx context.Context, op string, f func() error) error {
	err := o.n.gate.enter(ctx)
	if err == nil {
		defer o.n.gate.leave()
		err = f()
	} else {
		err = notApplied(err)
	}
	if err != nil {
		return o.n.errorOf(op, "", nil, err)
	}
	return nil
}

func (n remote) history(ctx context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("history", err)
	}
	reigns, err := n.Operator().Reigns(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := n.Operator().Kept()
	if err != nil {
		return nil, n.errorOf("history", "", nil, notApplied(err))
	}
	return call.Past{Reigns: reigns, Kept: kept}.Encode(), nil
}

func (n remote) explain(ctx context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("explain", err)
	}
	x, err := n.Operator().Explain(ctx)
	if err != nil {
		return nil, err
	}
	return call.EncodeExplanation(x), nil
}

func (n remote) approve(ctx context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("approve rewind", err)
	}
	records, err := n.Operator().ApproveRewind(ctx)
	if err != nil {
		return nil, err
	}
	return call.EncodeCount(records), nil
}

func (n remote) switchover(ctx context.Context, req []byte) ([]byte, error) {
	to, err := call.DecodeName(req)
	if err == nil && !topology.NodeID(to).Valid() {
		err = fmt.Errorf("%w: %q is not a node's name", topology.ErrMalformed, to)
	}
	if err != nil {
		return nil, n.malformed("switchover", err)
	}
	p, err := n.Operator().Switchover(ctx, topology.NodeID(to))
	if err != nil {
		return nil, err
	}
	return call.EncodePromotion(p), nil
}

func restoreAt(ctx context.Context, n remote, req []byte) ([]byte, error) {
	m, err := call.DecodeRestore(req)
	if err != nil {
		return nil, n.malformed("restore", err)
	}
	p, err := n.Operator().Restore(ctx, m.To, m.GiveUp)
	if err != nil {
		return nil, err
	}
	return call.EncodeRestoration(p), nil
}

func (n remote) pause(ctx context.Context, req []byte) ([]byte, error) {
	paused, err := call.DecodeForce(req)
	if err != nil {
		return nil, n.malformed("pause", err)
	}
	if err := n.Operator().Pause(ctx, paused); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}
