//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	source "github.com/triad-kv/triad/internal/sim/load"
)

// errBroken is the ground of an error that a promise does not hold.
var errBroken = errors.New("a promise is broken")

const (
	linearEach  = 10 * time.Second
	logBytesMax = 2 << 20 // what a node may log in a minute: more fills a disk
)

// judge compares what clients were told with what nodes hold, once all is quiet,
// and ends the nodes in order.
func (r *run) judge(ctx context.Context) error {
	r.tell("judging %d operations", r.load.record.Len())
	finals, err := r.finals(ctx)
	if err != nil {
		return errors.Join(errBroken, err, r.states(ctx))
	}
	err = errors.Join(judged(r.load.record.Ops(), finals), r.load.oddities(), r.chatter(), r.endAll(ctx), r.verify(ctx))
	if err != nil {
		return errors.Join(errBroken, err)
	}
	return nil
}

// judged is the verdict on a history.
func judged(ops []history.Op, finals []check.Final) error {
	rules := check.Rules{Counting: []string{source.Accounts, source.Counters}}
	all, err := check.New(rules, ops, finals...)
	if err != nil {
		return err
	}
	found := all.Kept().And(all.Nowhere()).And(all.Converged()).And(all.Counters()).And(all.Bank(source.Accounts, accounts, accountFunds))
	// One case an era: what is searched for an order is what might share one.
	for _, part := range eras(ops) {
		c, err := check.New(rules, part)
		if err != nil {
			return err
		}
		found = found.And(c.Linearizable(linearEach)).And(c.Fresh())
	}
	return found.Err()
}

// eras are the operations on registers and counters, by the era of their keys.
func eras(ops []history.Op) (parts [][]history.Op) {
	at := map[string]int{}
	for _, op := range ops {
		words := strings.Split(op.Key, "/")
		if len(words) != 3 {
			continue
		}
		i, known := at[words[1]]
		if !known {
			i = len(parts)
			at[words[1]] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// finals are what the nodes hold when all have applied the same.
func (r *run) finals(ctx context.Context) (finals []check.Final, err error) {
	err = until(ctx, equalWait, "all nodes have applied the same", func(ctx context.Context) (bool, error) {
		places := map[string]bool{}
		for _, n := range r.nodes {
			s, err := n.status(ctx)
			if err != nil {
				return false, err
			}
			if s.Log.Applied != s.Log.End {
				return false, fmt.Errorf("node %s has applied %d of %d", n.id, s.Log.Applied, s.Log.End)
			}
			places[fmt.Sprintf("term %d, %d entries", s.Term, s.Log.End)] = true
		}
		if len(places) > 1 {
			return false, fmt.Errorf("%v", places)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for _, n := range r.nodes {
		f, err := n.dump()
		if err != nil {
			return nil, fmt.Errorf("dump of node %s: %w", n.id, err)
		}
		finals = append(finals, f)
	}
	return finals, nil
}

// dump is what a node's own store holds, whatever others have.
func (n *node) dump() (check.Final, error) {
	f := check.Final{Node: n.id, Cells: map[string]check.Cell{}}
	c, err := dial(at(n.net.addr(n.id), portRESP))
	if err != nil {
		return f, err
	}
	defer c.close()
	if _, err := c.one(finalWait, "TRIAD", "READ", "any"); err != nil {
		return f, err
	}
	for cursor := "0"; ; {
		page, err := c.one(finalWait, "SCAN", cursor, "COUNT", "200")
		if err != nil {
			return f, err
		}
		if len(page.Parts) != 2 {
			return f, fmt.Errorf("SCAN answers %v", page)
		}
		if err := c.fetch(f.Cells, page.Parts[1].Parts); err != nil {
			return f, err
		}
		if cursor = string(page.Parts[0].Text); cursor == "0" {
			return f, nil
		}
	}
}

// fetch adds the values of some keys to cells.
func (c *conn) fetch(cells map[string]check.Cell, keys []resp.Answer) error {
	if len(keys) == 0 {
		return nil
	}
	words := []string{"MGET"}
	for _, k := range keys {
		words = append(words, string(k.Text))
	}
	values, err := c.one(finalWait, words...)
	if err != nil {
		return err
	}
	for i, v := range values.Parts {
		if v.Null {
			continue
		}
		key := words[i+1]
		value, whole := unpadded(key, string(v.Text))
		if !whole {
			return fmt.Errorf("key %s holds %d bytes that nobody wrote, from %.40q", key, len(v.Text), v.Text)
		}
		cells[key] = check.Cell{Values: []string{value}}
	}
	return nil
}

// finalWait bounds one answer to whoever dumps a node.
const finalWait = 20 * time.Second

// oddities are answers that no fault excuses.
func (l *load) oddities() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for text, n := range l.strange {
		errs = append(errs, fmt.Errorf("%d times: %s", n, text))
	}
	return errors.Join(errs...)
}

// alarms are what a log never says of a node that is sound. The detector of races
// speaks if the binary was built with it.
var alarms = []string{"DATA RACE", "panic", "fatal error:"}

// chatter finds nodes whose log says what it must not, or grows as if nobody had
// to keep it.
func (r *run) chatter() error {
	var errs []error
	for _, n := range r.nodes {
		i, err := os.Stat(n.logs)
		if err != nil {
			return err
		}
		r.report.logged(n.id, i.Size())
		text := n.said()
		for _, alarm := range alarms {
			if at := strings.Index(text, alarm); at >= 0 {
				errs = append(errs, fmt.Errorf("node %s: %.400s", n.id, text[at:]))
			}
		}
		if most := int64(time.Since(r.began).Minutes()*logBytesMax) + logBytesMax; i.Size() > most {
			errs = append(errs, fmt.Errorf("node %s has logged %d bytes; %d would be much", n.id, i.Size(), most))
		}
	}
	return errors.Join(errs...)
}

// endAll ends all nodes in order, the leader last.
func (r *run) endAll(ctx context.Context) error {
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	order := slices.DeleteFunc(slices.Clone(r.nodes), func(n *node) bool { return n == leader })
	for _, n := range append(order, leader) {
		took, err := n.stop()
		if err != nil {
			return err
		}
		r.report.drained(took)
	}
	return nil
}

// verify has every node's log looked at.
func (c *cluster) verify(ctx context.Context) error {
	var errs []error
	for _, n := range c.nodes {
		if out, err := tool(ctx, "", c.binary, "wal", "verify", n.dir); err != nil {
			errs = append(errs, fmt.Errorf("the log of node %s: %w: %s", n.id, err, out))
		}
	}
	return errors.Join(errs...)
}

// save writes what clients saw beside the nodes' logs.
func (r *run) save() error {
	ops := r.load.record.Ops()
	r.report.counted(ops)
	r.report.Shed, r.report.Answers = r.load.shed.Load(), r.load.answers
	return history.Save(filepath.Join(r.dir, "history.jsonl"), ops)
}
