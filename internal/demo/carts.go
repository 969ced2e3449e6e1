package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

// siblingTable is the first table of the file that keeps siblings; empty if there is none.
func (v *votes) siblingTable() string {
	for _, t := range v.c.of.Tables {
		if name, _, _ := strings.Cut(t.Resolver, "@"); name == "siblings" {
			return t.Name
		}
	}
	return ""
}

// carts has two nodes write one key without knowing of one another: both values are kept,
// everywhere, until a client that has read them writes.
func (v *votes) carts(ctx context.Context) error {
	const key = "cart of Alice"
	table, ns := v.siblingTable(), v.c.living()
	var g errgroup.Group
	for i, what := range []string{"milk", "tea"} {
		g.Go(func() error {
			_, err := v.at[ns[i].ID].Put(ctx, table, []byte(key), []byte(what), client.Context(client.NothingSeen()))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var seen topology.Context
	both := func() error {
		for _, n := range ns {
			got, err := v.at[n.ID].Get(ctx, table, []byte(key))
			if err != nil {
				return err
			}
			if len(got.Siblings) != 2 {
				return fmt.Errorf("%s shows %d values of %q", n.ID, max(1, len(got.Siblings)), key)
			}
			seen = got.Context
		}
		return nil
	}
	if err := until(ctx, func(context.Context) error { return both() }); err != nil {
		return err
	}
	const merged = "milk, tea"
	if _, err := v.at[ns[2].ID].Put(ctx, table, []byte(key), []byte(merged), client.Context(seen)); err != nil {
		return err
	}
	for _, n := range ns {
		got, err := v.at[n.ID].Get(ctx, table, []byte(key))
		switch {
		case err != nil:
			return err
		case len(got.Siblings) > 0 || string(got.Value) != merged:
			return errors.New("a write with the context of both values has not taken their place at " + string(n.ID))
		}
	}
	v.held("%s and %s wrote one cart without knowing of one another: all %d nodes showed both, until a client that had read them wrote %q", ns[0].ID, ns[1].ID, len(ns), merged)
	return nil
}
