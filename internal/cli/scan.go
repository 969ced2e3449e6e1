package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
)

// item is one key of `triad scan`.
type item struct {
	Key         shown     `json:"key"`
	Value       *shown    `json:"value,omitempty"`
	Kind        string    `json:"kind,omitempty"` // of a key whose parts are not shown
	Transaction string    `json:"transaction"`
	Time        time.Time `json:"time"`
}

// window is the part of a table that is scanned.
type window struct {
	from, to, prefix string
	limit            int
	keys             bool
}

// scanLimitDefault keeps a scan of a large table from filling the memory of the
// command, and the terminal of its user.
const scanLimitDefault = 1000

func newScan() *cobra.Command {
	c := &cobra.Command{
		Use:     "scan TABLE",
		Short:   "Read the keys of a table in order",
		Long:    fmt.Sprintf("Read the keys of a table in order, %d of them unless --limit says otherwise.", scanLimitDefault),
		Example: "  triad scan users\n  triad scan files --prefix net/http/ --keys --limit 20",
		Args:    exactly("TABLE"),
	}
	r := remoteFlags(c)
	f := freshnessFlags(c)
	w := &window{}
	c.Flags().StringVar(&w.from, "from", "", "the first key")
	c.Flags().StringVar(&w.to, "to", "", "the key before which to end")
	c.Flags().StringVar(&w.prefix, "prefix", "", "only keys that begin so")
	c.Flags().IntVar(&w.limit, "limit", scanLimitDefault, "at most so many keys")
	c.Flags().BoolVar(&w.keys, "keys", false, "keys without their values")
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := f.options(cmd)
		if err != nil {
			return err
		}
		from, to, err := w.bounds()
		if err != nil {
			return err
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			kind, err := kindOf(ctx, c, args[0])
			if err != nil {
				return err
			}
			v, err := w.read(ctx, c, args[0], kind, from, to, opts)
			return errors.Join(r.show(cmd, v), err)
		})
	}
	return c
}

// bounds returns the keys between which to scan.
func (w *window) bounds() (from, to []byte, err error) {
	switch {
	case w.prefix != "" && (w.from != "" || w.to != ""):
		return nil, nil, usagef("--prefix and --from or --to: one of the two")
	case w.limit < 1:
		return nil, nil, usagef("--limit: %d is no number of keys", w.limit)
	case w.prefix != "":
		return []byte(w.prefix), after([]byte(w.prefix)), nil
	}
	return []byte(w.from), []byte(w.to), nil
}

// after returns the first key behind all that begin with prefix; empty if there
// is none.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// read scans. What came before an error is in the result.
func (w *window) read(ctx context.Context, c *client.Client, table string, kind record.Kind, from, to []byte, opts []client.Option) (result, error) {
	items := []item{}
	r := result{table: grid.Table{Header: []string{"key", "value", "transaction", "time"}}}
	if w.keys {
		r.table.Header = []string{"key", "bytes", "transaction", "time"}
	}
	var fault error
	for got, err := range c.Scan(ctx, table, from, to, opts...) {
		if err != nil {
			fault = err
			break
		}
		if len(items) == w.limit {
			r.below = fmt.Sprintf("… and more: the first %d; --limit and --from show others", w.limit)
			break
		}
		i := item{Key: showBytes(got.Key), Transaction: got.Dot.String(), Time: got.Time.Time().UTC()}
		cell, err := i.fill(kind, got, w.keys)
		if err != nil {
			fault = fmt.Errorf("%s/%q: %w", table, got.Key, err)
			break
		}
		items = append(items, i)
		r.table.Rows = append(r.table.Rows, []string{i.Key.plain, short(cell), i.Transaction, i.Time.Format("2006-01-02 15:04:05.000")})
	}
	r.value = items
	return r, fault
}

// cellRunesMax is how much of a value a table shows.
const cellRunesMax = 60

func short(s string) string {
	n := 0
	for i := range s {
		if n == cellRunesMax {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// fill notes what a key holds, and returns how a person sees it.
func (i *item) fill(kind record.Kind, got client.Item, keys bool) (cell string, err error) {
	if got.Kind != record.KindAny {
		i.Kind = triad.KindName(got.Kind)
		return "(a " + i.Kind + ")", nil
	}
	v, err := showValue(kind, got.Value)
	switch {
	case err != nil:
		return "", err
	case keys:
		return fmt.Sprint(v.Bytes), nil
	}
	i.Value = &v
	return v.plain, nil
}
