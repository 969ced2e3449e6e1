package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// userSettled is the user that two sites edit in a table of each resolver.
const userSettled = "1005"

// settling is one table, and what two sites write to it while they do not see one
// another: first the first of them, then the last.
type settling struct {
	table    config.Table
	kind     record.Kind
	resolver string    // as it is named; empty: the last writer's
	writes   [2]string // of the first site and the last
	columns  [2]string // of a row: which each writes
	want     []string  // what every node is to show
}

// settlings are the tables of the file whose resolvers differ, one of each.
func (c *clash) settlings() (all []*settling) {
	done := map[string]bool{}
	for _, t := range c.c.of.Tables {
		kind, err := triad.ParseKind(t.Kind)
		if err != nil || kind != record.KindBytes && kind != record.KindRow {
			continue
		}
		x := &settling{table: t, kind: kind, resolver: t.Resolver, writes: [2]string{"Faye of " + c.first.name, "Faye, of " + c.last.name}}
		name, params, _ := strings.Cut(t.Resolver, "(")
		switch {
		case kind == record.KindRow:
			name = "fields"
			x.columns = [2]string{"city", "name"}
			x.want = []string{fmt.Sprintf(`city %s, name %s`, x.writes[0], x.writes[1])}
		case name == "" || name == "lww":
			name = "lww"
			x.want = x.writes[1:]
		case name == "first-writer":
			x.want = x.writes[:1]
		case name == "site-priority":
			x.want = x.writes[1:]
			sites := strings.Split(strings.ReplaceAll(strings.TrimSuffix(params, ")"), " ", ""), ",")
			if i, j := slices.Index(sites, c.first.name), slices.Index(sites, c.last.name); i >= 0 && (j < 0 || i < j) {
				x.want = x.writes[:1]
			}
		case name == "siblings":
			x.want = x.writes[:]
		case name == "longest" || strings.HasPrefix(name, "longest@"):
			x.writes[0] = "Faye with the longer name, of " + c.first.name
			x.want = x.writes[:1]
		default:
			continue
		}
		if !done[name] {
			done[name] = true
			all = append(all, x)
		}
	}
	return all
}

// settle has two sites edit one user at the same time, in a table of each resolver.
func (c *clash) settle(ctx context.Context) error {
	all := c.settlings()
	if err := c.apart(ctx, wordCut, c.last); err != nil {
		return err
	}
	for i, s := range []*site{c.first, c.last} {
		for _, x := range all {
			value := []byte(x.writes[i])
			if x.kind == record.KindRow {
				value = rowOf(column{x.columns[i], x.writes[i]})
			}
			r, err := c.at[s.leader.ID].Put(ctx, x.table.Name, []byte(userSettled), value)
			if err != nil {
				return fmt.Errorf("%s at %s: %w", x.table.Name, s.name, err)
			}
			c.latest.Token = c.latest.Token.Join(r.Token)
		}
	}
	if err := c.apart(ctx, wordHeal, c.last); err != nil {
		return err
	}
	if err := until(ctx, c.linked); err != nil {
		return err
	}
	var rows [][]string
	for _, x := range all {
		shown, err := c.allShow(ctx, x)
		if err != nil {
			return err
		}
		resolver := x.resolver
		if resolver == "" {
			resolver = "that of " + x.table.Kind
		}
		rows = append(rows, []string{x.table.Name, resolver, x.writes[0], x.writes[1], strings.Join(shown, " | ")})
	}
	c.table([]string{"table", "resolver", c.first.name + " wrote", c.last.name + " wrote", "all nodes show"}, rows)
	if err := c.listed(ctx, all); err != nil {
		return err
	}
	if err := c.choose(ctx, all); err != nil {
		return err
	}
	c.held("%d tables, each settled its own way, alike at %d nodes; every conflict is listed with its resolver and all that met", len(all), len(c.c.living()))
	return nil
}

// allShow wants every living node to show what the table's resolver should make.
func (c *clash) allShow(ctx context.Context, x *settling) ([]string, error) {
	for _, n := range c.c.living() {
		r, err := c.at[n.ID].Get(ctx, x.table.Name, []byte(userSettled), client.After(c.latest.Token))
		if err != nil {
			return nil, fmt.Errorf("%s/%s at %s: %w", x.table.Name, userSettled, n.ID, err)
		}
		shown := []string{string(r.Value)}
		if x.kind == record.KindRow {
			shown[0] = rowText(r.Value)
		}
		if len(r.Siblings) > 0 {
			shown = nil
			for _, s := range r.Siblings {
				shown = append(shown, string(s.Value))
			}
		}
		if !slices.Equal(shown, x.want) {
			return nil, fmt.Errorf("%s shows %q for %s/%s, which %q should settle as %q", n.ID, shown, x.table.Name, userSettled, x.resolver, x.want)
		}
	}
	return x.want, nil
}

// listed wants a conflict in the list for every table but those of rows, whose two writes
// were of two columns and cost nothing, and shows them.
func (c *clash) listed(ctx context.Context, all []*settling) error {
	var met []client.Conflict
	for _, x := range all {
		if x.kind == record.KindRow {
			continue
		}
		found, err := c.conflictsOf(ctx, c.first, x.table.Name, userSettled)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s has met no conflict of %s/%s", c.first.name, x.table.Name, userSettled)
		}
		last := found[len(found)-1]
		name, _, _ := strings.Cut(last.Resolver, "@")
		if want, _, _ := strings.Cut(x.resolver, "("); want != "" && !strings.HasPrefix(want, name) {
			return fmt.Errorf("LSN %d says that %s settled it, and the table has %s", last.LSN, last.Resolver, x.resolver)
		}
		if n := len(last.Winner) + len(last.Losers); n != 2 || last.Type != topology.InsertInsert {
			return fmt.Errorf("LSN %d: %d writes met as %s, and two were inserted", last.LSN, n, last.Type)
		}
		met = append(met, last)
	}
	c.tellConflicts(met)
	return nil
}

// choose writes one value in place of the siblings that it has read, and takes back what
// the last writer took.
func (c *clash) choose(ctx context.Context, all []*settling) error {
	for _, x := range all {
		switch {
		case x.resolver == "siblings":
			if err := c.replace(ctx, x); err != nil {
				return err
			}
		case x.kind == record.KindBytes && (x.resolver == "" || x.resolver == "lww"):
			if err := c.revert(ctx, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace writes with the context of what it has read, and again with the same context,
// which must not replace what it has not seen.
func (c *clash) replace(ctx context.Context, x *settling) error {
	at := c.at[c.first.leader.ID]
	r, err := at.Get(ctx, x.table.Name, []byte(userSettled))
	if err != nil {
		return err
	}
	for i, text := range []string{"Faye, as two agreed", "Faye, as one did not know"} {
		w, err := at.Put(ctx, x.table.Name, []byte(userSettled), []byte(text), client.Context(r.Context))
		if err != nil {
			return err
		}
		c.latest.Token = c.latest.Token.Join(w.Token)
		if i == 0 {
			x.want = nil
		}
		x.want = append(x.want, text)
		if _, err := c.allShow(ctx, x); err != nil {
			return err
		}
	}
	c.line("%s/%s: a write with the context of both replaced both; one more with that context stands beside it", x.table.Name, userSettled)
	return nil
}

// revert writes again what lost, and sees that nobody can do so once something newer is
// there.
func (c *clash) revert(ctx context.Context, x *settling) error {
	found, err := c.conflictsOf(ctx, c.first, x.table.Name, userSettled)
	if err != nil {
		return err
	}
	at := found[len(found)-1].ConflictPlace
	o := c.at[c.first.leader.ID].Operator()
	r, err := o.RevertConflict(ctx, c.first.leader.addr, at, triad.Receipt{}.Dot)
	if err != nil {
		return err
	}
	c.latest.Token = c.latest.Token.Join(r.Receipt.Token)
	x.want = x.writes[:1]
	if _, err := c.allShow(ctx, x); err != nil {
		return err
	}
	if _, err = o.RevertConflict(ctx, c.first.leader.addr, at, triad.Receipt{}.Dot); !errors.Is(err, topology.ErrConditionFailed) {
		return fmt.Errorf("what lost was written again over something newer: %w", err)
	}
	c.line("%s conflicts revert %d: %q again, as %v; a second time it is refused, as something newer is there", c.o.Command, at.LSN, x.writes[0], r.Receipt.Dot)
	return nil
}
