package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// freshness is how new a read must be.
type freshness struct {
	after        string
	maxStale     time.Duration
	maxLag       uint64
	maxBytes     uint64
	linearizable bool
	leased       bool
	any          bool
	consistency  string
}

func freshnessFlags(c *cobra.Command) *freshness {
	f := &freshness{}
	c.Flags().StringVar(&f.after, "after", "", "see at least what this token has seen: that of a write or a read")
	c.Flags().DurationVar(&f.maxStale, "max-stale", 0, "be no staler than this")
	c.Flags().Uint64Var(&f.maxLag, "max-lag", 0, "be at most so many records behind the leader")
	c.Flags().Uint64Var(&f.maxBytes, "max-bytes", 0, "be at most so many bytes of the log behind the leader")
	c.Flags().BoolVar(&f.linearizable, "linearizable", false, "see everything acknowledged before; the default in a single-leader cluster")
	c.Flags().BoolVar(&f.leased, "leased", false, "the same, by the leader's lease where it has one (topology.lease)")
	c.Flags().BoolVar(&f.any, "any", false, "take whatever the asked node holds, however stale")
	consistencyFlag(c, &f.consistency)
	return f
}

// consistencyFlag is for how many replicas a request waits where nobody leads.
func consistencyFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "consistency", "", "where nobody leads: for how many replicas to wait: one, two, quorum, all, local_one, local_quorum, each_quorum; the cluster's default if not given")
}

// consistencyOf is the option of that flag, none if it was not given.
func consistencyOf(text string) ([]client.Option, error) {
	if text == "" {
		return nil, nil
	}
	level, err := topology.ParseConsistency(text)
	if err != nil {
		return nil, usagef("--consistency: %w", err)
	}
	return []client.Option{client.Consistency(level)}, nil
}

// options are the flags as the client takes them, which refuses what does not fit
// together.
func (f *freshness) options(cmd *cobra.Command) ([]client.Option, error) {
	var all []client.Option
	if f.after != "" {
		t, err := topology.ParseToken(f.after)
		if err != nil {
			return nil, usagef("--after: %w", err)
		}
		all = append(all, client.After(t))
	}
	if cmd.Flags().Changed("max-stale") {
		if f.maxStale <= 0 {
			return nil, usagef("--max-stale: %v is no bound; --linearizable asks for the newest", f.maxStale)
		}
		all = append(all, client.MaxStale(f.maxStale))
	}
	if cmd.Flags().Changed("max-lag") {
		if f.maxLag == 0 {
			return nil, usagef("--max-lag: 0 is no bound; --linearizable asks for the newest")
		}
		all = append(all, client.MaxLag(f.maxLag))
	}
	if cmd.Flags().Changed("max-bytes") {
		if f.maxBytes == 0 {
			return nil, usagef("--max-bytes: 0 is no bound; --linearizable asks for the newest")
		}
		all = append(all, client.MaxBytes(f.maxBytes))
	}
	if f.linearizable {
		all = append(all, client.Linearizable())
	}
	if f.leased {
		all = append(all, client.Leased())
	}
	if f.any {
		if len(all) > 0 {
			return nil, usagef("--any: another flag asks for more than whatever a node holds")
		}
		all = append(all, client.Any())
	}
	level, err := consistencyOf(f.consistency)
	return append(all, level...), err
}

// reading is the answer of `triad get`.
type reading struct {
	Table       string          `json:"table"`
	Key         shown           `json:"key"`
	Value       shown           `json:"value"`
	Transaction string          `json:"transaction"`
	Time        time.Time       `json:"time"`
	Served      topology.NodeID `json:"served"`
	Guarantee   string          `json:"guarantee"`
	Stale       string          `json:"stale"`
	Token       string          `json:"token"`
	Context     string          `json:"context,omitempty"`  // of a table that keeps siblings
	Siblings    []sibling       `json:"siblings,omitempty"` // where several are concurrent, in the order of their transactions
}

// sibling is one of several concurrent values.
type sibling struct {
	Value       shown     `json:"value"`
	Removed     bool      `json:"removed,omitempty"`
	Transaction string    `json:"transaction"`
	Time        time.Time `json:"time"`
}

func newGet() *cobra.Command {
	c := &cobra.Command{
		Use:     "get TABLE KEY",
		Short:   "Read the value of a key",
		Example: "  triad get users 1001\n  triad get users 1001 --any --endpoints 127.0.0.1:7402",
		Args:    exactly("TABLE", "KEY"),
	}
	r := remoteFlags(c)
	f := freshnessFlags(c)
	raw := c.Flags().Bool("raw", false, "print the bytes of the value and nothing else")
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := f.options(cmd)
		if err != nil {
			return err
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			got, err := c.Get(ctx, args[0], []byte(args[1]), opts...)
			if err != nil {
				return err
			}
			if *raw {
				_, err := cmd.OutOrStdout().Write(got.Value)
				return err
			}
			kind, err := kindOf(ctx, c, args[0])
			if err != nil {
				return err
			}
			v, err := readingResult(args[0], args[1], kind, got)
			if err != nil {
				return err
			}
			return r.show(cmd, v)
		})
	}
	return c
}

func readingResult(table, key string, kind record.Kind, got client.Reading) (result, error) {
	value, err := showValue(kind, got.Value)
	if err != nil {
		return result{}, fmt.Errorf("%s/%q: %w", table, key, err)
	}
	stale := "unknown"
	if got.Stale >= 0 {
		stale = got.Stale.Round(time.Millisecond).String()
	}
	v := reading{
		Table: table, Key: showBytes([]byte(key)), Value: value, Transaction: got.Dot.String(), Time: got.Time.Time().UTC(),
		Served: got.Served, Guarantee: got.Guarantee.String(), Stale: stale, Token: got.Token.String(),
	}
	t := grid.Table{Header: []string{"key", "value", "transaction", "served by", "guarantee", "stale"}}
	if got.Context.IsZero() {
		t.Rows = [][]string{{key, value.plain, v.Transaction, string(v.Served), v.Guarantee, v.Stale}}
		return result{value: v, table: t}, nil
	}
	v.Context = got.Context.String()
	t.Header = append(t.Header, "context")
	for _, s := range got.Siblings {
		one, err := showValue(kind, s.Value)
		if err != nil {
			return result{}, fmt.Errorf("%s/%q: %w", table, key, err)
		}
		if s.Removed {
			one = shown{plain: "(removed)"}
		}
		v.Siblings = append(v.Siblings, sibling{Value: one, Removed: s.Removed, Transaction: s.Dot.String(), Time: s.Time.Time().UTC()})
		t.Rows = append(t.Rows, []string{key, one.plain, s.Dot.String(), string(v.Served), v.Guarantee, v.Stale, v.Context})
	}
	if len(got.Siblings) == 0 {
		t.Rows = [][]string{{key, value.plain, v.Transaction, string(v.Served), v.Guarantee, v.Stale, v.Context}}
	}
	return result{value: v, table: t}, nil
}

// kindOf returns what a table holds.
func kindOf(ctx context.Context, c *client.Client, name string) (record.Kind, error) {
	tables, err := c.Tables(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range tables {
		if t.Name == name {
			return t.Kind, nil
		}
	}
	return 0, fmt.Errorf("table %s: %w", name, topology.ErrNoTable)
}
