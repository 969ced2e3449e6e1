package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// fate is the answer of `triad resolve`.
type fate struct {
	Transaction string `json:"transaction"`
	Fate        string `json:"fate"`
	LSN         uint64 `json:"lsn"`
	Term        uint64 `json:"term"`
}

func newResolve() *cobra.Command {
	c := &cobra.Command{
		Use:   "resolve WRITE",
		Short: "Tell what became of a write whose outcome was unknown",
		Long: `Tell what became of a write whose outcome was unknown. WRITE is its token, or its
transaction and the term in which it got that, as 1.1:42@3. With a transaction
alone it is told whose write stands there. It waits until that is settled.`,
		Example: "  triad resolve 1.1:42@3",
		Args:    exactly("WRITE"),
	}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dot, term, err := parseWrite(args[0])
		if err != nil {
			return usagef("%w", err)
		}
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			got, err := c.Resolve(ctx, dot, term)
			if err != nil {
				return err
			}
			v := fate{Transaction: writeName(dot, term), Fate: got.Fate.String(), LSN: uint64(got.LSN), Term: got.Term}
			return r.show(cmd, result{value: v, table: grid.Table{
				Header: []string{"transaction", "fate", "lsn", "term"},
				Rows:   [][]string{{v.Transaction, v.Fate, fmt.Sprint(v.LSN), fmt.Sprint(v.Term)}},
			}})
		})
	}
	return c
}

// parseWrite reads a token of a single-leader cluster, or what writeName prints.
func parseWrite(s string) (version.Dot, uint64, error) {
	if t, err := topology.ParseToken(s); err == nil && !t.IsZero() {
		return version.Dot{Origin: t.Origin, Seq: uint64(t.LSN)}, t.Term, nil
	}
	name, in, has := strings.Cut(s, "@")
	dot, err := parseDot(name)
	term := uint64(0)
	if err == nil && has {
		if term, err = strconv.ParseUint(in, 10, 64); err != nil || term == 0 {
			err = fmt.Errorf("%q is no term", in)
		}
	}
	if err != nil {
		return dot, 0, fmt.Errorf("%q is neither a token nor a write such as 1.1:42@3: %w", s, err)
	}
	return dot, term, nil
}

// writeName names a write by its transaction and term.
func writeName(dot version.Dot, term uint64) string {
	if term == 0 {
		return dot.String()
	}
	return fmt.Sprintf("%v@%d", dot, term)
}
