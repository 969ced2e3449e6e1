package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

func newConflicts() *cobra.Command {
	return parent("conflicts", "Look at what concurrent writes of several sites cost", newConflictsList(), newConflictsShow(),
		newConflictsWatch(), newConflictsReplay(), newConflictsRevert(), newConflictsRelease())
}

// rival is a write that met others, as it is shown.
type rival struct {
	Site        string    `json:"site"`
	Transaction string    `json:"transaction"`
	Time        time.Time `json:"time"`
	Removed     bool      `json:"removed,omitempty"`
	Value       *shown    `json:"value,omitempty"` // its beginning
	Bytes       int       `json:"bytes"`           // of the whole value
}

// meeting is a conflict as it is shown.
type meeting struct {
	LSN    uint64                `json:"lsn"`
	Change uint16                `json:"change"`
	Table  string                `json:"table"`
	Key    shown                 `json:"key"`
	Field  *shown                `json:"field,omitempty"`
	Type   topology.ConflictType `json:"type"`
	Winner []rival               `json:"winner"`
	Losers []rival               `json:"losers"`

	Resolver string    `json:"resolver,omitempty"`
	Time     time.Time `json:"time"`
	By       string    `json:"by,omitempty"` // the write that met the others
}

// tableOfTables is how Triad's own table is shown.
const tableOfTables = "(tables)"

func meetingOf(c client.Conflict) meeting {
	m := meeting{
		LSN: uint64(c.LSN), Change: c.Change, Table: c.Table, Key: showBytes(c.Key), Type: c.Type, Winner: rivalsOf(c.Winner), Losers: rivalsOf(c.Losers),
		Resolver: c.Resolver, Time: c.Time.Time().UTC(),
	}
	if c.Resolver != "" {
		m.By = c.By.String()
	}
	if m.Table == "" {
		m.Table = tableOfTables
	}
	if len(c.Field) > 0 {
		f := showBytes(c.Field)
		m.Field = &f
	}
	return m
}

func rivalsOf(vs []client.Rival) []rival {
	rs := make([]rival, len(vs))
	for i, v := range vs {
		rs[i] = rival{Site: v.Site, Transaction: v.Dot.String(), Time: v.Time.Time().UTC(), Removed: v.Removed, Bytes: v.Bytes}
		if !v.Removed {
			s := showWritten(v)
			rs[i].Value = &s
		}
	}
	return rs
}

// showWritten shows a value that was written: of a column of a row what it says.
func showWritten(v client.Rival) shown {
	if v.Kind != record.KindRow || len(v.Value) < v.Bytes || pack.Walk(v.Value) != nil {
		return showBytes(v.Value)
	}
	var column any
	if err := msgpack.Unmarshal(v.Value, &column); err != nil {
		return showBytes(v.Value)
	}
	text, err := json.Marshal(printable(column))
	if err != nil {
		return showBytes(v.Value)
	}
	return shown{Columns: json.RawMessage(text), Bytes: len(v.Value), plain: string(text)}
}

// place is where it happened.
func (m *meeting) place() string {
	at := m.Table + "/" + m.Key.plain
	if m.Field != nil {
		at += "/" + m.Field.plain
	}
	return at
}

// text is a write for people: its site, its time, and its value, cut.
func (v *rival) text() string {
	what := "removed"
	if !v.Removed {
		what = v.Value.plain
		if v.Bytes > v.Value.Bytes {
			what += "…"
		}
		what = short(what)
	}
	return fmt.Sprintf("%s %s: %s", v.Site, v.Time.Format("15:04:05.000"), what)
}

func newConflictsList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the writes that lost to concurrent writes of other sites",
		Long: `List the conflicts that one node has met, oldest first: writes in different sites that
did not know of one another. Each was acknowledged; what lost is shown by nobody any
more, and kept here. The list is that of the first of --endpoints that answers; other
sites met the same writes in another order, and have lists of their own.`,
		Example: "  triad conflicts list\n  triad conflicts list --after 120 --endpoints 127.0.0.1:7402",
		Args:    exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	after := c.Flags().Uint64("after", 0, "begin behind this LSN")
	limit := c.Flags().Int("limit", conflictsListed, "list at most so many")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit <= 0 {
			return usagef("--limit: %d is no number of conflicts", *limit)
		}
		from := client.ConflictPlace{LSN: record.LSN(*after), Change: ^uint16(0)}
		if *after == 0 {
			from.Change = 0
		}
		all, node, more, err := r.conflicts(cmd, from, conflictCut, func(had []meeting, next client.Conflict) bool {
			n := len(had)
			return n < *limit || had[n-1].LSN == uint64(next.LSN) // or --after would leave out the rest of a record
		})
		if err != nil {
			return err
		}
		v := result{value: all, above: "as " + string(node) + " has met them", table: grid.Table{Header: conflictHeader}}
		for i := range all {
			v.table.Rows = append(v.table.Rows, all[i].row())
		}
		switch {
		case len(all) == 0:
			v.table.Header, v.above, v.below = nil, "", string(node)+" has met no conflict"
		case more:
			v.below = fmt.Sprintf("there are more: --after %d", all[len(all)-1].LSN)
		}
		return r.show(cmd, v)
	}
	return c
}

var conflictHeader = []string{"lsn", "table/key", "type", "resolver", "winner", "losers"}

// row is a conflict in one line. Where nobody lost, all that met stay.
func (m *meeting) row() []string {
	return []string{m.at(), grid.Plain(short(m.place())), string(m.Type), dash(m.Resolver), grid.Plain(texts(m.Winner)), grid.Plain(texts(m.Losers))}
}

// at is its place as commands take it.
func (m *meeting) at() string {
	if m.Change == 0 {
		return fmt.Sprint(m.LSN)
	}
	return fmt.Sprintf("%d/%d", m.LSN, m.Change)
}

const (
	conflictsListed = 100
	conflictCut     = 64 // bytes of a value in a list
)

func newConflictsShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show LSN",
		Short: "Show what met at one place of a site's log, value by value",
		Long: `Show every write that met at one LSN of the log of a site, with its value, up to 64 KiB
of it: what won, and what lost. LSNs are those of the site of the node that is asked.`,
		Example: "  triad conflicts show 121\n  triad conflicts show 121 -o json",
		Args:    exactly("LSN"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.RunE = func(cmd *cobra.Command, args []string) error {
		lsn, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil || lsn == 0 {
			return usagef("%q is no LSN; `triad conflicts list` has them", args[0])
		}
		from := client.ConflictPlace{LSN: record.LSN(lsn - 1), Change: ^uint16(0)}
		all, node, _, err := r.conflicts(cmd, from, client.ConflictValueBytesMax, func(_ []meeting, next client.Conflict) bool { return uint64(next.LSN) == lsn })
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return advise(fmt.Errorf("%s has met no conflict at LSN %d; `triad conflicts list` shows which it has: %w", node, lsn, topology.ErrNotFound))
		}
		v := result{value: all, table: grid.Table{Header: []string{"table/key", "", "site", "time", "transaction", "bytes", "value"}}}
		v.above = fmt.Sprintf("LSN %d, as %s has met it", lsn, node)
		for _, m := range all {
			v.table.Rows = append(v.table.Rows, m.rows(m.Winner, "won")...)
			v.table.Rows = append(v.table.Rows, m.rows(m.Losers, "lost")...)
		}
		return r.show(cmd, v)
	}
	return c
}

func (m *meeting) rows(rs []rival, fate string) (rows [][]string) {
	for _, v := range rs {
		value := "removed"
		if !v.Removed {
			value = v.Value.plain
			if v.Bytes > v.Value.Bytes {
				value += "…"
			}
		}
		rows = append(rows, []string{
			grid.Plain(m.place()), fate, v.Site, v.Time.Format("2006-01-02 15:04:05.000"), v.Transaction, fmt.Sprint(v.Bytes), grid.Plain(value),
		})
	}
	return rows
}

func texts(rs []rival) string {
	var all []string
	for i := range rs {
		all = append(all, rs[i].text())
	}
	return list(all)
}

// conflicts asks the first node that answers for its conflicts behind a place, as long
// as wanted says so of the next, which is told those there are; more says whether that
// ended it.
func (r *remote) conflicts(cmd *cobra.Command, after client.ConflictPlace, bytes int, wanted func([]meeting, client.Conflict) bool) (all []meeting, node topology.NodeID, more bool, err error) {
	all = []meeting{}
	err = r.atFirst(cmd, func(ctx context.Context, c *client.Client, a admin.Answer) error {
		node = a.Status.Node
		for x, err := range c.Operator().Conflicts(ctx, a.Addr, after, bytes) {
			if err != nil {
				return err
			}
			if !wanted(all, x) {
				more = true
				return nil
			}
			all = append(all, meetingOf(x))
		}
		return nil
	})
	return all, node, more, err
}
