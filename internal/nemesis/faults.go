//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// fault is one way to break a cluster. Its strike breaks it, waits, heals what it
// broke, and judges what is to be judged while it lasts; what it returns ends
// the run.
type fault struct {
	name   string
	at     []target // whom it may hit
	needs  []need
	cuts   cuts // what it does to the network
	strike func(ctx context.Context, r *run, s strike) error
}

// cuts say which faults may happen at once: one that is nothing but a cut, and one
// that cuts nothing.
type cuts int

const (
	cutsNothing cuts = iota
	cutsOnly
	cutsToo
)

var anybody = []target{atLeader, atFollower}

// faults is set where the functions are that it names: they name it, too.
var faults []*fault

func init() {
	faults = []*fault{
		{name: "kill", at: anybody, strike: kill},
		{name: "kill-all", strike: killAll},
		{name: "flap", at: anybody, strike: flap},
		{name: "terminate", at: anybody, strike: terminate},
		{name: "freeze", at: anybody, strike: freeze},
		{name: "isolate", at: anybody, cuts: cutsOnly, strike: isolate},
		{name: "one-way", at: anybody, cuts: cutsOnly, strike: oneWay},
		{name: "ring", at: anybody, cuts: cutsOnly, strike: ring},
		{name: "flutter", at: anybody, cuts: cutsOnly, strike: flutter},
		{name: "slow-link", at: anybody, cuts: cutsOnly, needs: []need{needSpaces}, strike: slowLink},
		{name: "slow-disk", at: anybody, needs: []need{needTracer}, strike: slowDisk},
		{name: "full-disk", at: anybody, needs: []need{needImage}, strike: fullDisk},
		{name: "fsync-error", at: anybody, needs: []need{needTracer}, strike: fsyncError},
		{name: "power-cut", at: anybody, needs: []need{needImage}, strike: powerCut},
		{name: "power-cut-all", needs: []need{needImage}, strike: powerCutAll},
		{name: "clock", at: anybody, strike: wrongClock},
		{name: "wipe", at: anybody, strike: wipe},
		{name: "amnesia", cuts: cutsToo, strike: amnesia},
		{name: "failover-dead", strike: failoverDead},
		{name: "failover-cut", cuts: cutsToo, strike: failoverCut},
	}
}

// leader is the node that leads in the greatest term that anybody knows, once
// there is one.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	var found *node
	err := until(ctx, settleWait, "a node leads", func(ctx context.Context) (bool, error) {
		var term uint64
		found = nil
		for _, n := range c.nodes {
			s, err := n.status(ctx)
			if err != nil || s.Term < term {
				continue
			}
			if s.Term > term {
				term, found = s.Term, nil
			}
			if s.Role == "leader" {
				found = n
			}
		}
		return found != nil, c.fell()
	})
	return found, err
}

// hit is the node that a strike is aimed at.
func (r *run) hit(ctx context.Context, s strike) (*node, error) {
	leader, err := r.leader(ctx)
	if err != nil || s.at == atLeader {
		return leader, err
	}
	return r.node(pick(others(leader.id), s.roll)), nil
}

// pick draws one of some names.
func pick(names []string, roll uint64) string { return names[roll%uint64(len(names))] }

// after waits, and is what undoes a strike even where the run is to end.
func after(ctx context.Context, s strike, undo func(context.Context) error) error {
	err := pause(ctx, s.hold)
	return errors.Join(err, undo(context.WithoutCancel(ctx)))
}

func kill(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	if err := n.kill(); err != nil {
		return err
	}
	return after(ctx, s, func(context.Context) error { return n.start() })
}

func killAll(ctx context.Context, r *run, s strike) error {
	for _, n := range r.nodes {
		if err := n.kill(); err != nil {
			return err
		}
	}
	return after(ctx, s, func(context.Context) error { return r.startAll(s.roll) })
}

// startAll starts all nodes, in an order that is drawn.
func (c *cluster) startAll(roll uint64) error {
	order := slices.Clone(c.nodes)
	for i := range order {
		j := i + int(roll>>(8*i)%uint64(len(order)-i))
		order[i], order[j] = order[j], order[i]
	}
	for _, n := range order {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// flap kills a node again and again while it starts.
func flap(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	for i := range 5 {
		if err := n.kill(); err != nil {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
		alive := time.Duration(s.roll>>(8*i)&0xff) * time.Millisecond
		if err := pause(ctx, alive); err != nil {
			return err
		}
	}
	return nil
}

// terminate ends a node in order, under load: it must be done in time, with 0.
func terminate(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	took, err := n.stop()
	if err != nil {
		return errors.Join(errBroken, err)
	}
	r.report.drained(took)
	return after(ctx, s, func(context.Context) error { return n.start() })
}

func freeze(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	if err := n.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return after(ctx, s, func(context.Context) error { return n.signal(syscall.SIGCONT) })
}

// during cuts some ways for as long as a strike holds.
func during(ctx context.Context, r *run, s strike, ways []way) error {
	if err := r.net.cut(ctx, ways); err != nil {
		return err
	}
	return after(ctx, s, func(ctx context.Context) error { return r.net.cut(ctx, nil) })
}

func isolate(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	return during(ctx, r, s, between([]string{n.id}, ids))
}

// oneWay makes a node deaf, or mute.
func oneWay(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	mute := s.roll>>32&1 == 0
	ways := slices.DeleteFunc(between([]string{n.id}, ids), func(w way) bool { return (w.from == n.id) != mute })
	return during(ctx, r, s, ways)
}

// ring cuts two nodes from each other and from nobody else: each of them sees a
// majority, and no two see the same.
func ring(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	return during(ctx, r, s, between([]string{n.id}, []string{pick(others(n.id), s.roll>>32)}))
}

// flutter cuts a node off and heals it, five times a second.
func flutter(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	for range s.hold / (400 * time.Millisecond) {
		short := s
		short.hold = 200 * time.Millisecond
		if err := during(ctx, r, short, between([]string{n.id}, ids)); err != nil {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// slowLinkRate is what a slow link carries, in kbit/s.
const slowLinkRate = 256

func slowLink(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	if err := r.net.slow(ctx, n.id, slowLinkRate); err != nil {
		return err
	}
	return after(ctx, s, func(ctx context.Context) error { return r.net.slow(ctx, n.id, 0) })
}

// clockOffsets are how wrong clocks are: within and beyond what a received time
// may be ahead (C3).
var clockOffsets = []time.Duration{-300 * time.Millisecond, 300 * time.Millisecond, -5 * time.Second, 5 * time.Second, -time.Hour, time.Hour, 24 * 365 * 10 * time.Hour}

// wrongClock restarts a node with a clock that is wrong, and then with the right one.
func wrongClock(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	again := func(offset time.Duration) error {
		n.offset = offset
		return errors.Join(n.kill(), n.start())
	}
	offset := clockOffsets[s.roll>>32%uint64(len(clockOffsets))]
	r.tell("    the clock of %s is off by %v", n.id, offset)
	if err := again(offset); err != nil {
		return err
	}
	if _, err := r.settle(ctx); err != nil {
		return fmt.Errorf("with a clock that is off by %v at node %s: %w", offset, n.id, err)
	}
	return after(ctx, s, func(context.Context) error { return again(0) })
}
