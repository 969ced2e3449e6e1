package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
)

// tableShown is one table of `triad tables`.
type tableShown struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

func newTables() *cobra.Command {
	c := &cobra.Command{Use: "tables", Short: "List the tables and what they hold", Args: exactly()}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			tables, err := c.Tables(ctx)
			if err != nil {
				return err
			}
			all := []tableShown{}
			v := result{table: grid.Table{Header: []string{"table", "kind"}}}
			for _, t := range tables {
				all = append(all, tableShown{Name: t.Name, Kind: kindName(t)})
				v.table.Rows = append(v.table.Rows, []string{t.Name, kindName(t)})
			}
			v.value = all
			return r.show(cmd, v)
		})
	}
	return c
}
