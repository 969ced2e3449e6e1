package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// wish is how a write is to be made.
type wish struct {
	durability *oneOf
	ifAbsent   bool
	ifVersion  string
	ifValue    string
	level      string
	context    string
}

func wishFlags(c *cobra.Command) *wish {
	w := &wish{durability: wordFlag(c, "durability", "", "", "when to answer; the cluster's default if not given", "received", "flushed", "applied")}
	c.Flags().BoolVar(&w.ifAbsent, "if-absent", false, "only if the key holds nothing")
	c.Flags().StringVar(&w.ifVersion, "if-version", "", "only if the key holds the value of this transaction, as in 1.1:42")
	c.Flags().StringVar(&w.ifValue, "if-value", "", "only if the key holds this value; not for rows")
	c.Flags().StringVar(&w.context, "context", "", "in a table that keeps siblings: replace what was shown with this context, as triad get prints it, and nothing else")
	consistencyFlag(c, &w.level)
	return w
}

func (w *wish) options(cmd *cobra.Command) ([]client.Option, error) {
	var all []client.Option
	conditions := 0
	if w.durability.value != "" {
		d, err := topology.ParseDurability(w.durability.value)
		if err != nil {
			return nil, usagef("--durability: %w", err)
		}
		all = append(all, client.Durability(d))
	}
	level, err := consistencyOf(w.level)
	if err != nil {
		return nil, err
	}
	all = append(all, level...)
	if w.ifAbsent {
		all, conditions = append(all, client.IfAbsent()), conditions+1
	}
	if cmd.Flags().Changed("if-version") {
		d, err := parseDot(w.ifVersion)
		if err != nil {
			return nil, usagef("--if-version: %w", err)
		}
		all, conditions = append(all, client.IfVersion(d)), conditions+1
	}
	if cmd.Flags().Changed("if-value") {
		all, conditions = append(all, client.IfValue([]byte(w.ifValue))), conditions+1
	}
	if w.context != "" {
		seen, err := topology.ParseContext(w.context)
		if err != nil {
			return nil, usagef("--context: %w", err)
		}
		if conditions > 0 {
			return nil, usagef("--context: it is the only condition of its write")
		}
		all = append(all, client.Context(seen))
	}
	if conditions > 1 {
		return nil, usagef("--if-absent, --if-version, --if-value: one condition a write")
	}
	return all, nil
}

// parseDot reads what version.Dot prints: origin, incarnation and seq as 1.1:42.
func parseDot(s string) (version.Dot, error) {
	var d version.Dot
	id, rest, ok1 := strings.Cut(s, ".")
	incarnation, seq, ok2 := strings.Cut(rest, ":")
	a, err1 := strconv.ParseUint(id, 10, 32)
	b, err2 := strconv.ParseUint(incarnation, 10, 32)
	n, err3 := strconv.ParseUint(seq, 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || err3 != nil || n == 0 || a == 0 {
		return d, fmt.Errorf("%q is not a transaction such as 1.1:42", s)
	}
	return version.Dot{Origin: version.Origin{ID: uint32(a), Incarnation: uint32(b)}, Seq: n}, nil
}

func newPut() *cobra.Command {
	c := &cobra.Command{
		Use:   "put TABLE KEY VALUE",
		Short: "Set the value of a key",
		Long: `Set the value of a key. VALUE is the bytes of the value, or in a table of rows a JSON
object with a column for each name; - reads it from standard input.`,
		Example: "  triad put users 1004 '{\"name\":\"Dana\"}' --if-absent\n  triad put default motd - < motd.txt",
		Args:    exactly("TABLE", "KEY", "VALUE"),
	}
	r := remoteFlags(c)
	w := wishFlags(c)
	ttl := c.Flags().Duration("ttl", 0, "how long it lives; what the table says if not given")
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := w.options(cmd)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("ttl") {
			opts = append(opts, client.TTL(*ttl))
		}
		value := []byte(args[2])
		if args[2] == "-" {
			if value, err = readValue(cmd.InOrStdin()); err != nil {
				return err
			}
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			kind, err := kindOf(ctx, c, args[0])
			if err == nil && kind == record.KindRow {
				value, err = rowBytes(value)
			}
			if err != nil {
				return err
			}
			receipt, err := c.Put(ctx, args[0], []byte(args[1]), value, opts...)
			if err != nil {
				return err
			}
			return r.show(cmd, receiptResult(receipt))
		})
	}
	return c
}

// readValue reads a value that is no longer than one may be.
func readValue(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, record.ValueBytesMax+1))
	if err == nil && len(b) > record.ValueBytesMax {
		err = fmt.Errorf("standard input: a value of more than %s: %w", grid.Bytes(record.ValueBytesMax), topology.ErrTooLarge)
	}
	return b, err
}

func newDel() *cobra.Command {
	c := &cobra.Command{
		Use:   "del TABLE KEY",
		Short: "Remove a key",
		Long:  "Remove a key. One that is not there is removed all the same.",
		Args:  exactly("TABLE", "KEY"),
	}
	r := remoteFlags(c)
	w := wishFlags(c)
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := w.options(cmd)
		if err != nil {
			return err
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			receipt, err := c.Delete(ctx, args[0], []byte(args[1]), opts...)
			if err != nil {
				return err
			}
			return r.show(cmd, receiptResult(receipt))
		})
	}
	return c
}

// receipt is the answer of `triad put` and `triad del`.
type receipt struct {
	LSN         uint64            `json:"lsn"`
	Transaction string            `json:"transaction"`
	Term        uint64            `json:"term"`
	Time        time.Time         `json:"time"`
	Durability  string            `json:"durability"`
	Durable     []topology.NodeID `json:"durable"`
	Token       string            `json:"token"`
}

func receiptResult(r client.Receipt) result {
	v := receipt{
		LSN: uint64(r.LSN), Transaction: r.Dot.String(), Term: r.Term, Time: r.Time.Time().UTC(),
		Durability: r.Durability.String(), Durable: r.Durable, Token: r.Token.String(),
	}
	return result{value: v, table: grid.Table{
		Header: []string{"lsn", "transaction", "term", "durability", "durable at", "token"},
		Rows:   [][]string{{fmt.Sprint(v.LSN), v.Transaction, fmt.Sprint(v.Term), v.Durability, list(v.Durable), v.Token}},
	}}
}
