package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// fitsPayments wants a counted standby, a read replica and a delayed one.
func fitsPayments(c *config.Cluster) error {
	for role, what := range map[config.Role]string{
		config.RoleStandby: "a standby", config.RoleReadReplica: "a read replica", config.RoleDelayed: "a delayed replica",
	} {
		if !slices.ContainsFunc(c.Replicas, func(r config.Replica) bool { return r.Role == role }) {
			return fmt.Errorf("it needs %s, as in nodes: {a: %s}", what, role)
		}
	}
	for _, r := range c.Replicas {
		if time.Duration(r.ApplyDelay) > lateMax {
			return fmt.Errorf("%s shows everything %v late, and a demo waits %v at most", r.ID, r.ApplyDelay, lateMax)
		}
	}
	return nil
}

// onceDelay is how late a node is at most in a demo that ends by itself.
const onceDelay = time.Second

// paymentsDelay shortens the delay of what nobody watches.
func paymentsDelay(o Options, n *node) time.Duration {
	if o.Once {
		return min(n.ApplyDelay, onceDelay)
	}
	return n.ApplyDelay
}

// ledger is what the phases of payments share.
type ledger struct {
	*demo
	standby, reports, delayed *node
	balance                   string // the newest
}

const keyBalance = "alice"

func playPayments(ctx context.Context, d *demo) error {
	l := &ledger{demo: d}
	return d.phases(ctx, []phase{
		{"who is there for what", l.boot},
		{"a payment, and who shows it when", l.pay},
		{"who may lead", l.lead},
		{"what everybody holds", l.same},
	})
}

func (l *ledger) boot(ctx context.Context) error {
	s, err := l.roles(ctx)
	if err != nil {
		return err
	}
	for role, n := range map[config.Role]**node{
		config.RoleStandby: &l.standby, config.RoleReadReplica: &l.reports, config.RoleDelayed: &l.delayed,
	} {
		i := slices.IndexFunc(l.c.nodes, func(n *node) bool { return n.role == role })
		*n = l.c.nodes[i]
	}
	counted, others := l.counted(s)
	if !slices.Contains(counted, l.standby) {
		return fmt.Errorf("commits wait for %s, and not for %s", idsOf(counted), l.standby.ID)
	}
	if file := time.Duration(l.c.of.Replicas[l.place(l.delayed)].ApplyDelay); file != l.delayed.ApplyDelay {
		l.note("%s shows everything %v late; the file says %v, which is more than a demo that ends by itself waits for", l.delayed.ID, l.delayed.ApplyDelay, file)
	}
	l.held("commits wait for %s; %s copy the log, are never counted, and %s shows everything %v late", idsOf(counted), idsOf(others), l.delayed.ID, l.delayed.ApplyDelay)
	return nil
}

// place is where in the file a node stands.
func (l *ledger) place(n *node) int {
	return slices.IndexFunc(l.c.of.Replicas, func(r config.Replica) bool { return r.ID == string(n.ID) })
}

// attemptsMax bounds how often a look that came too late is repeated.
const attemptsMax = 5

// pay shows an old balance at the delayed replica and the new one elsewhere.
func (l *ledger) pay(ctx context.Context) error {
	if _, err := l.write(ctx, keyBalance, "100.00"); err != nil {
		return err
	}
	l.balance = "100.00"
	l.line("the balance is 100.00; waiting until %s shows it, %v", l.delayed.ID, l.delayed.ApplyDelay)
	for range attemptsMax {
		if err := l.shownLate(ctx); err != nil {
			return err
		}
		before := l.balance
		late, err := l.spend(ctx)
		if err != nil {
			return err
		}
		if !late {
			l.held("%s and %s show the payment at once, %s still shows %s: what a mistake overwrote can be read there for %v",
				l.standby.ID, l.reports.ID, l.delayed.ID, before, l.delayed.ApplyDelay)
			return nil
		}
		l.note("this machine was busy for longer than %v: once more", l.delayed.ApplyDelay)
	}
	return fmt.Errorf("%d looks came too late", attemptsMax)
}

// shownLate waits until the delayed replica shows the newest balance.
func (l *ledger) shownLate(ctx context.Context) error {
	c := l.at[l.delayed.ID]
	err := until(ctx, func(ctx context.Context) error {
		_, err := l.reads(ctx, c, l.delayed, keyBalance, l.balance, client.Any())
		return err
	})
	if err != nil {
		return fmt.Errorf("%s does not show what was written %v ago and more: %w", l.delayed.ID, l.delayed.ApplyDelay, err)
	}
	return nil
}

// spend writes a new balance and looks at the replicas; late says that the look
// came when the delay was over.
func (l *ledger) spend(ctx context.Context) (late bool, err error) {
	before, began := l.balance, time.Now()
	l.balance = "40.00"
	if before == l.balance {
		l.balance = "100.00"
	}
	r, err := l.write(ctx, keyBalance, l.balance)
	if err != nil {
		return false, err
	}
	rows := [][]string{}
	for _, n := range []*node{l.leader, l.standby, l.reports} {
		read, err := l.reads(ctx, l.at[n.ID], n, keyBalance, l.balance, client.After(r.Token))
		if err != nil {
			return false, err
		}
		rows = append(rows, []string{string(n.ID), string(n.role), l.balance, read.Dot.String()})
	}
	read, err := l.reads(ctx, l.at[l.delayed.ID], l.delayed, keyBalance, before, client.Any())
	switch {
	case time.Since(began) >= l.delayed.ApplyDelay:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("within its delay: %w", err)
	}
	rows = append(rows, []string{string(l.delayed.ID), string(l.delayed.role), before, read.Dot.String()})
	l.table([]string{"node", "role", "balance of " + keyBalance, "transaction"}, rows)
	return false, nil
}

// lead changes the leader, and only to who may lead.
func (l *ledger) lead(ctx context.Context) error {
	for _, n := range []*node{l.reports, l.delayed} {
		if err := l.refused(ctx, n); err != nil {
			return err
		}
	}
	old := l.leader
	p, err := l.o.Failover(ctx, l.c.endpoints(), l.standby.ID, false)
	if err != nil {
		return err
	}
	l.leader = l.standby
	l.line("%s failover --to %s: term %d from LSN %d on", l.o.Command, l.standby.ID, p.Term, p.Start)
	if err := until(ctx, l.led); err != nil {
		return err
	}
	if _, err := l.reads(ctx, l.at[l.leader.ID], l.leader, keyBalance, l.balance, client.After(l.latest.Token)); err != nil {
		return err
	}
	if r, err := l.write(ctx, keyBalance, "0.00"); err != nil {
		return err
	} else if r.Term != p.Term {
		return fmt.Errorf("a write got term %d, not %d", r.Term, p.Term)
	}
	_, err = l.at[old.ID].Get(ctx, tableDefault, []byte("nothing"), client.Linearizable())
	if !errors.Is(err, topology.ErrNotFound) {
		return fmt.Errorf("a read at %s, which led: %w", old.ID, err)
	}
	l.held("%s leads and has every payment; neither %s nor %s was made leader", l.leader.ID, l.reports.ID, l.delayed.ID)
	return nil
}
