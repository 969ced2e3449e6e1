package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func newRewoundShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show DIR FILE",
		Short: "Print the records of a side file",
		Long:  "Print the records of a side file of a node's data directory, which the node may have\nopen, with tables by their numbers. Exit code 4 if it is damaged.",
		Args:  exactly("DIR", "FILE"),
	}
	form := outputFlag(c)
	limit := c.Flags().Int("limit", scanLimitDefault, "at most so many records")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 1 {
			return usagef("--limit: %d is no number of records", *limit)
		}
		entries := []entry{}
		r := result{table: grid.Table{Header: []string{"lsn", "term", "transaction", "time", "mutations"}}}
		var fault error
		for v, err := range rewoundEntries(args[0], args[1]) {
			if err != nil {
				fault = err
				break
			}
			if len(entries) == *limit {
				r.below = fmt.Sprintf("… and more: the first %d; --limit and export show others", *limit)
				break
			}
			entries = append(entries, v)
			r.table.Rows = append(r.table.Rows, []string{
				fmt.Sprint(v.LSN), fmt.Sprint(v.Term), v.Transaction, v.Time.Format("2006-01-02 15:04:05.000"), short(summary(v.Mutations)),
			})
		}
		r.value = entries
		return errors.Join(r.write(cmd.OutOrStdout(), form.value), fault)
	}
	return c
}

// rewoundEntries yields what a side file holds, as it is shown.
func rewoundEntries(dir, file string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for r, err := range rewoundRecords(dir, file) {
			if err != nil {
				yield(entry{}, err)
				return
			}
			if !yield(entryOf(r.Entry, &r.Record), nil) {
				return
			}
		}
	}
}

// rewound is one record of a side file, with its entry.
type rewound struct {
	record.Entry
	record.Record
}

// rewoundRecords yields what a side file holds. What it yields is valid until the next.
func rewoundRecords(dir, file string) iter.Seq2[rewound, error] {
	return func(yield func(rewound, error) bool) {
		side, err := sideFiles(dir)
		if err != nil {
			yield(rewound{}, err)
			return
		}
		for e, err := range side.Entries(file) {
			var r record.Record
			if err == nil {
				r, err = e.Record()
			}
			switch {
			case errors.Is(err, os.ErrNotExist):
				err = usagef("%s has no side file %q; `triad rewound list %s` shows them", dir, file, dir)
			case err != nil:
				err = fmt.Errorf("%w: %w", errDamaged, err)
			}
			if err != nil {
				yield(rewound{}, err)
				return
			}
			if !yield(rewound{e, r}, nil) {
				return
			}
		}
	}
}

func newRewoundExport() *cobra.Command {
	c := &cobra.Command{
		Use:   "export DIR FILE",
		Short: "Write the records of a side file as lines of JSON",
		Long: `Write all records of a side file of a node's data directory, which the node may have
open, to the standard output or a new file: a line of JSON each, of the form that
show -o json has. Exit code 4 if it is damaged: what stands before is written.`,
		Args: exactly("DIR", "FILE"),
	}
	to := c.Flags().String("to", "", "a file that is not there yet; default the standard output")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		out := cmd.OutOrStdout()
		if *to != "" {
			f, err := os.OpenFile(*to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return usagef("--to: %w", err)
			}
			return errors.Join(exportTo(f, args[0], args[1]), f.Sync(), f.Close())
		}
		return exportTo(out, args[0], args[1])
	}
	return c
}

func exportTo(out io.Writer, dir, file string) error {
	w := bufio.NewWriter(out)
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for v, err := range rewoundEntries(dir, file) {
		if err == nil {
			err = lines.Encode(v)
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
	}
	return w.Flush()
}

func newRewoundApprove() *cobra.Command {
	c := &cobra.Command{
		Use:   "approve --node NODE",
		Short: "Let a node rewind its log though that takes out more than its limit",
		Long: `Let a node go on whose log has more records that the leader lacks than its limit
(topology.rewind_records_max, topology.rewind_bytes_max). They are kept in a side
file of its data directory. It holds for what waits now, until the node ends.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	node := c.Flags().String("node", "", "the node whose rewind waits; `triad status` shows it")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		id := topology.NodeID(*node)
		if !id.Valid() {
			return usagef("--node: %q is not a node's name; `triad status` lists them", *node)
		}
		var records uint64
		err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
			all, err := survey(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			for _, a := range all {
				if a.Err == nil && a.Status.Node == id {
					records, err = c.Operator().ApproveRewind(ctx, a.Addr)
					return err
				}
			}
			return fmt.Errorf("%w: %s was not reached; name its address with --endpoints", topology.ErrUnavailable, id)
		})
		if err != nil {
			return err
		}
		return r.show(cmd, result{value: map[string]any{"node": id, "records": records}, below: fmt.Sprintf("%s rewinds %d records", id, records)})
	}
	return c
}
