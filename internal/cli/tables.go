package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
)

func newTable() *cobra.Command {
	return parent("table", "Define, list and drop tables", newTableCreate(), newTableList(), newTableDrop())
}

// tableShown is one table, and what became of it if anything did.
type tableShown struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"`
	TTL  string `json:"ttl,omitempty"`

	Resolver string `json:"resolver,omitempty"` // where it is not that of the kind

	Change string `json:"change,omitempty"` // defined or dropped
}

func showTable(t client.Table) tableShown {
	s := tableShown{Name: t.Name, Kind: kindName(t), Resolver: t.Resolver}
	if t.TTL != 0 {
		s.TTL = t.TTL.String()
	}
	return s
}

func newTableList() *cobra.Command {
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the tables and what they hold", Args: exactly()}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			tables, err := c.Tables(ctx)
			if err != nil {
				return err
			}
			all := []tableShown{}
			v := result{table: grid.Table{Header: []string{"table", "kind", "ttl"}}}
			resolved := slices.ContainsFunc(tables, func(t client.Table) bool { return t.Resolver != "" })
			if resolved {
				v.table.Header = append(v.table.Header, "resolver")
			}
			for _, t := range tables {
				s := showTable(t)
				all = append(all, s)
				row := []string{s.Name, s.Kind, dash(s.TTL)}
				if resolved {
					row = append(row, dash(s.Resolver))
				}
				v.table.Rows = append(v.table.Rows, row)
			}
			v.value = all
			return r.show(cmd, v)
		})
	}
	return c
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func newTableCreate() *cobra.Command {
	c := &cobra.Command{
		Use:   "create NAME --kind KIND",
		Short: "Define a table",
		Long: `Define a table. One that is defined so already is no error; one that is defined
otherwise is refused, and both are shown: a definition never changes.

Kinds: bytes (opaque values), row (a map of columns), set, map, counter, flag (on or
off), max and min (of the numbers shown to a key), hll (a sketch that counts different
elements), and any, where every key has a kind of its own.

Where several sites write, a table of bytes may name what settles writes that did not
know of one another: lww (the last writer, as without a name), first-writer,
site-priority(2, 1) by the numbers of sites, siblings (all are kept), or a function that
the nodes' program has, as in stock@2.`,
		Example: "  triad table create users --kind row\n  triad table create carts --kind set --ttl 24h\n  triad table create stock --kind bytes --resolver first-writer",
		Args:    exactly("NAME"),
	}
	r := remoteFlags(c)
	kind := wordFlag(c, "kind", "", "", "what the table's values are", kindWords()...)
	ttl := c.Flags().Duration("ttl", 0, "what a key lives that is written without an expiry; 0 is for ever")
	resolver := c.Flags().String("resolver", "", "what settles concurrent writes of several sites; empty is that of the kind")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if kind.value == "" {
			return usagef("--kind: none was given; one of %s", list(kind.words))
		}
		k, err := triad.ParseKind(kind.value)
		if err != nil {
			return usagef("--kind: %w", err)
		}
		if *ttl < 0 || *ttl%time.Millisecond != 0 {
			return usagef("--ttl: %v is none of whole milliseconds", *ttl)
		}
		t := client.Table{Name: args[0], Kind: k, TTL: *ttl, Resolver: *resolver}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			if err := c.CreateTable(ctx, t); err != nil {
				return err
			}
			return r.show(cmd, changed(showTable(t), "defined"))
		})
	}
	return c
}

// kindWords are the kinds a table may have, as they are spelled.
func kindWords() (words []string) {
	for _, k := range []record.Kind{record.KindBytes, record.KindRow, record.KindSet, record.KindMap, record.KindCounter, record.KindFlag, record.KindMax, record.KindMin, record.KindHLL, record.KindAny} {
		words = append(words, triad.KindName(k))
	}
	return words
}

// changed is the result of what was done to a table.
func changed(t tableShown, change string) result {
	t.Change = change
	return result{value: t, above: "table " + t.Name + " is " + change}
}

func newTableDrop() *cobra.Command {
	c := &cobra.Command{
		Use:   "drop NAME --yes",
		Short: "Remove a table and all it holds",
		Long: `Remove a table and all it holds. Its name is free at once; its keys, which nobody
finds any more, are removed in the background. A table that the leader's
configuration names must be taken out there first, or it would be defined again.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	yes := c.Flags().Bool("yes", false, "that it is meant: there is no way back")
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return usagef("all that table %s holds will be lost; give --yes if that is meant", args[0])
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			if err := c.DropTable(ctx, args[0]); err != nil {
				return err
			}
			return r.show(cmd, changed(tableShown{Name: args[0]}, "dropped"))
		})
	}
	return c
}
