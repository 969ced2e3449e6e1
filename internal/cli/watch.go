package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// changeShown is one step of `triad watch`.
type changeShown struct {
	Change      string     `json:"change"` // write, state or position
	Token       string     `json:"token,omitempty"`
	LSN         uint64     `json:"lsn,omitempty"`
	Transaction string     `json:"transaction,omitempty"`
	Time        *time.Time `json:"time,omitempty"`
	Keys        []keyShown `json:"keys,omitempty"`
}

// keyShown is what became of one key.
type keyShown struct {
	Key     shown       `json:"key"`
	Value   *shown      `json:"value,omitempty"`
	Removed bool        `json:"removed,omitempty"`
	Parts   []partShown `json:"parts,omitempty"`
}

type partShown struct {
	Name    shown  `json:"name"`
	Value   *shown `json:"value,omitempty"`
	Removed bool   `json:"removed,omitempty"`
}

// following is what of a table to watch, and for how long.
type following struct {
	prefix, from string
	limit        int
	o            client.WatchOptions
}

func newWatch() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch TABLE",
		Short: "Follow what is committed to a table",
		Long: `Follow what is committed to a table, transaction by transaction, until it is
interrupted, or --timeout or --limit is reached. Each change has a token, behind
which --from goes on. With --slot the position is kept by the cluster, which then
holds its log back for whoever goes on with it.

With -o json a change is one line, with -o yaml one document.`,
		Example: "  triad watch users --state\n  triad watch files --prefix net/ --slot mirror -o json",
		Args:    exactly("TABLE"),
	}
	r := remoteFlags(c)
	f := &following{}
	c.Flags().StringVar(&f.prefix, "prefix", "", "only keys that begin so")
	c.Flags().StringVar(&f.from, "from", "", "the token behind which to go on")
	c.Flags().BoolVar(&f.o.State, "state", false, "first what is there, then what comes")
	c.Flags().BoolVar(&f.o.State, "snapshot", false, "the same as --state")
	c.Flags().StringVar(&f.o.Slot, "slot", "", "name of a position that the cluster keeps")
	c.Flags().Uint64Var(&f.o.SlotBytes, "slot-bytes", 0, "bytes of log that a new slot may hold back; 0 is 256 MiB")
	c.Flags().IntVar(&f.limit, "limit", 0, "end after so many changes; 0 is never")
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(); err != nil {
			return err
		}
		endless := !cmd.Flags().Changed("timeout")
		if endless {
			r.timeout = math.MaxInt64
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			err := f.follow(ctx, c, args[0], cmd.OutOrStdout(), r.form.value)
			if ctx.Err() != nil && (cmd.Context().Err() != nil || !endless) {
				return nil // it has lasted as long as it was to
			}
			return err
		})
	}
	return c
}

func (f *following) check() (err error) {
	f.o.Prefix = []byte(f.prefix)
	if f.o.From, err = topology.ParseToken(f.from); err != nil {
		return usagef("--from: %w", err)
	}
	switch {
	case f.from != "" && (f.o.State || f.o.Slot != ""):
		return usagef("--from and --state or --slot: one of the two")
	case f.o.SlotBytes != 0 && f.o.Slot == "":
		return usagef("--slot-bytes: without --slot")
	case f.limit < 0:
		return usagef("--limit: %d is no number of changes", f.limit)
	}
	return nil
}

// follow prints what comes.
func (f *following) follow(ctx context.Context, c *client.Client, table string, w io.Writer, form string) error {
	kind, err := kindOf(ctx, c, table)
	if err != nil {
		return err
	}
	n := 0
	for ch, err := range c.Watch(ctx, table, f.o) {
		if err != nil {
			return err
		}
		if n == f.limit && f.limit > 0 { // the last one is consumed by now
			return nil
		}
		v, err := showChange(kind, &ch)
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		if err := writeChange(w, form, &v); err != nil {
			return err
		}
		if ch.Kind == topology.ChangePosition {
			continue
		}
		if n++; n == f.limit && f.o.Slot == "" {
			return nil
		}
	}
	return nil
}

func showChange(kind record.Kind, ch *client.Change) (changeShown, error) {
	v := changeShown{Change: ch.Kind.String(), Token: ch.Token.String(), LSN: uint64(ch.Token.LSN)}
	if ch.Kind != topology.ChangePosition {
		v.Transaction = ch.Dot.String()
		t := ch.Time.Time().UTC()
		v.Time = &t
	}
	for _, k := range ch.Keys {
		s := keyShown{Key: showBytes(k.Key), Removed: k.Removed}
		if k.Whole {
			value, err := showValue(kind, k.Value)
			if err != nil {
				return v, fmt.Errorf("key %q: %w", k.Key, err)
			}
			s.Value = &value
		}
		for _, p := range k.Parts {
			part := partShown{Name: showBytes(p.Name), Removed: p.Removed}
			if !p.Removed {
				value := showBytes(p.Value)
				part.Value = &value
			}
			s.Parts = append(s.Parts, part)
		}
		v.Keys = append(v.Keys, s)
	}
	return v, nil
}

// writeChange prints a change as it comes: for a person a line each key.
func writeChange(w io.Writer, form string, v *changeShown) error {
	switch form {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(v)
	case "yaml":
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return writeYAML(w, v)
	}
	if len(v.Keys) == 0 {
		_, err := fmt.Fprintf(w, "%-8s  %s\n", v.Change, v.Token)
		return err
	}
	for _, k := range v.Keys {
		if _, err := fmt.Fprintf(w, "%-8s  %8s  %s  %s\n", v.Change, dash(number(v.LSN)), k.Key.plain, short(k.plain())); err != nil {
			return err
		}
	}
	return nil
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// plain is what became of a key, for a person.
func (k *keyShown) plain() string {
	switch {
	case k.Value != nil:
		return k.Value.plain
	case len(k.Parts) == 0 && k.Removed:
		return "(removed)"
	}
	var s string
	for _, p := range k.Parts {
		sign := "+"
		if p.Removed {
			sign = "-"
		}
		s += sign + p.Name.plain + " "
	}
	return "(parts " + s[:max(len(s), 1)-1] + ")"
}

func newSlot() *cobra.Command {
	return parent("slot", "List and drop the positions of watches that the cluster keeps", newSlotList(), newSlotDrop())
}

// slotShown is one slot.
type slotShown struct {
	Name      string     `json:"name"`
	Table     string     `json:"table"`
	Prefix    *shown     `json:"prefix,omitempty"`
	LSN       uint64     `json:"lsn"`
	Token     string     `json:"token"`
	Bytes     uint64     `json:"bytes_max"`
	Acked     time.Time  `json:"acknowledged"`
	State     string     `json:"state"` // begun, stands or dropped
	Dropped   *time.Time `json:"dropped,omitempty"`
	DroppedAt uint64     `json:"dropped_lsn,omitempty"`
}

func showSlot(s *client.Slot) slotShown {
	v := slotShown{
		Name: s.Name, Table: s.Table, LSN: uint64(s.Token.LSN), Token: s.Token.String(), Bytes: s.Bytes,
		Acked: s.Acked.UTC(), State: "stands", DroppedAt: uint64(s.DroppedAt),
	}
	if len(s.Prefix) > 0 {
		p := showBytes(s.Prefix)
		v.Prefix = &p
	}
	if !s.Synced {
		v.State = "begun"
	}
	if !s.Dropped.IsZero() {
		t := s.Dropped.UTC()
		v.State, v.Dropped = "dropped", &t
	}
	return v
}

func newSlotList() *cobra.Command {
	c := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List the slots and where they stand", Args: exactly()}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			slots, err := c.Operator().Slots(ctx)
			if err != nil {
				return err
			}
			all := []slotShown{}
			v := result{table: grid.Table{Header: []string{"slot", "table", "state", "lsn", "budget", "acknowledged"}}}
			for i := range slots {
				s := showSlot(&slots[i])
				all = append(all, s)
				v.table.Rows = append(v.table.Rows, []string{
					s.Name, s.Table, s.State, fmt.Sprint(s.LSN), fmt.Sprint(s.Bytes), s.Acked.Format("2006-01-02 15:04:05"),
				})
			}
			v.value = all
			return r.show(cmd, v)
		})
	}
	return c
}

func newSlotDrop() *cobra.Command {
	c := &cobra.Command{
		Use:   "drop NAME --yes",
		Short: "Remove a slot: the log is not held back for it any more",
		Args:  exactly("NAME"),
	}
	r := remoteFlags(c)
	yes := c.Flags().Bool("yes", false, "that it is meant: its consumer must begin anew")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			return usagef("whoever follows slot %s must begin anew; give --yes if that is meant", args[0])
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			if err := c.Operator().DropSlot(ctx, args[0]); err != nil {
				return err
			}
			return r.show(cmd, result{value: map[string]string{"name": args[0], "change": "dropped"}, above: "slot " + args[0] + " is dropped"})
		})
	}
	return c
}
