package cli

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/internal/home"
)

func newRewound() *cobra.Command {
	return parent("rewound", "Look at records that were taken out of a node's log, and let that happen", newRewoundList(), newRewoundShow(), newRewoundExport(), newRewoundReplay(), newRewoundApprove())
}

// kept is one side file.
type kept struct {
	File    string `json:"file"`
	Why     string `json:"why"`
	First   uint64 `json:"first_lsn"`
	Last    uint64 `json:"last_lsn"`
	Records uint64 `json:"records"`
}

func newRewoundList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list DIR",
		Short: "List the side files of a node's data directory",
		Long: `List the side files of a node's data directory, which the node may have open: each
holds records that a change of leader took out of the node's log, and says why.`,
		Args: exactly("DIR"),
	}
	form := outputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		side, err := sideFiles(args[0])
		if err != nil {
			return err
		}
		files, err := side.List()
		if err != nil {
			return err
		}
		all := []kept{}
		r := result{table: grid.Table{Header: []string{"file", "first lsn", "last lsn", "records", "why"}}}
		for _, k := range files {
			v := kept{File: k.Name, Why: k.Why, First: uint64(k.First), Last: uint64(k.Last), Records: k.Records}
			all = append(all, v)
			r.table.Rows = append(r.table.Rows, []string{v.File, fmt.Sprint(v.First), fmt.Sprint(v.Last), fmt.Sprint(v.Records), v.Why})
		}
		r.value = all
		if len(all) == 0 {
			r.table.Header, r.below = nil, "nothing was ever taken out of this node's log"
		}
		return r.write(cmd.OutOrStdout(), form.value)
	}
	return c
}

// sideFiles are those of a data directory, which a node may have open.
func sideFiles(dir string) (*home.Sidelog, error) {
	if !isHome(dir) {
		return nil, noNode(dir)
	}
	return home.Aside(vfs.Default, dir), nil
}
