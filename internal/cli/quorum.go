package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/quorum/pbs"
)

// quorumFlags are what `triad quorum` is asked about.
type quorumFlags struct {
	n        int
	sites    []string
	r, w     int
	read     string
	write    string
	from     string
	repair   *oneOf
	order    *oneOf
	sloppy   bool
	received bool
	model    *oneOf
	trials   int
	seed     uint64
	form     *oneOf
}

func newQuorum() *cobra.Command {
	c := &cobra.Command{
		Use:   "quorum",
		Short: "Say what reads and writes of so many replicas promise, survive and may miss",
		Long: `Say what a table without a leader would promise whose reads and writes need so many
replicas: what holds and what does not, and why; how many may fail; how likely a read
is to miss the last write. Nothing is asked of any node.

Expressions: quorum, one, 2, all; "any 2 (a, b, c)", "first 1 (b, c)", "3 votes (a:2, b, c)";
with sites also local_one, local_quorum, each_quorum, "quorum in 2 of 3 sites", "all in
site eu"; joined by "and" and "or". Replicas are named a, b, c … in the order of the sites.
With --model, times are drawn from what was measured elsewhere; --seed draws others.`,
		Example: `  triad quorum --n 3 --r 1 --w 2 --model lnkd-disk
  triad quorum --sites us=3,eu=3 --read local_quorum --write each_quorum --repair blocking
  triad quorum --n 6 --read "all (a, b, c) or all (d, e, f)" --write "any 1 (a, b, c) and any 1 (d, e, f)"`,
		Args: exactly(),
	}
	f := quorumFlags{}
	flags := c.Flags()
	flags.IntVar(&f.n, "n", 3, "how many replicas there are")
	flags.StringSliceVar(&f.sites, "sites", nil, "how many in each site, instead of --n: us=3,eu=2")
	flags.IntVar(&f.r, "r", 0, "a read needs any so many: --read of a number")
	flags.IntVar(&f.w, "w", 0, "a write needs any so many: --write of a number")
	flags.StringVar(&f.read, "read", "quorum", "what a read needs")
	flags.StringVar(&f.write, "write", "quorum", "what a write needs")
	flags.StringVar(&f.from, "from", "", "the site from which all is asked; every site if it is not given")
	f.repair = wordFlag(c, "repair", "", "async", "when a read brings up to date who was behind", "none", "async", "blocking", "write-back")
	f.order = wordFlag(c, "order", "", "time", "which of two versions stays", "siblings", "merged", "time", "wall", "tag")
	flags.BoolVar(&f.sloppy, "sloppy", false, "answers of nodes that are no replicas count")
	flags.BoolVar(&f.received, "received", false, "replicas answer before what they have is durable")
	f.model = wordFlag(c, "model", "", "", "latencies to predict staleness from", modelNames()...)
	flags.IntVar(&f.trials, "trials", pbs.TrialsDefault, "how often to draw")
	flags.Uint64Var(&f.seed, "seed", 1, "what to draw: the same seed gives the same times")
	f.form = outputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.settle(cmd); err != nil {
			return err
		}
		a, err := f.answer()
		if err != nil {
			return err
		}
		return a.show(cmd.OutOrStdout(), f.form.value)
	}
	return c
}

func modelNames() (names []string) {
	for _, m := range pbs.Models() {
		names = append(names, m.Name)
	}
	return names
}

// settle brings the short flags and the long ones together.
func (f *quorumFlags) settle(cmd *cobra.Command) error {
	for _, both := range [...][2]string{{"r", "read"}, {"w", "write"}, {"n", "sites"}} {
		if cmd.Flags().Changed(both[0]) && cmd.Flags().Changed(both[1]) {
			return usagef("--%s and --%s: one of the two", both[0], both[1])
		}
	}
	if cmd.Flags().Changed("r") {
		f.read = strconv.Itoa(f.r)
	}
	if cmd.Flags().Changed("w") {
		f.write = strconv.Itoa(f.w)
	}
	if f.trials < 1 || f.trials > pbs.TrialsMax {
		return usagef("--trials: %d, 1 to %d may be", f.trials, pbs.TrialsMax)
	}
	return nil
}

// replicas makes the replicas that the flags name.
func (f *quorumFlags) replicas() (rs []quorum.Replica[string], err error) {
	add := func(site string, n int) {
		for range n {
			name := "r" + strconv.Itoa(len(rs)+1)
			if len(rs) < 26 {
				name = string(rune('a' + len(rs)))
			}
			rs = append(rs, quorum.Replica[string]{Node: name, Site: site})
		}
	}
	if f.sites == nil {
		if f.n < 1 || f.n > quorum.MembersMax {
			return nil, usagef("--n: %d replicas, 1 to %d may be", f.n, quorum.MembersMax)
		}
		add("", f.n)
		return rs, nil
	}
	seen := map[string]bool{}
	for _, s := range f.sites {
		site, count, ok := strings.Cut(s, "=")
		n, err := strconv.Atoi(count)
		switch {
		case !ok || err != nil || n < 1 || n > quorum.MembersMax:
			return nil, usagef("--sites: %q is not a site and its number of replicas, such as us=3", s)
		case seen[site]:
			return nil, usagef("--sites: %s is named twice", site)
		}
		if _, err := quorum.ParseExpr("one in site " + site); err != nil {
			return nil, usagef("--sites: %q is no name of a site", site)
		}
		seen[site] = true
		add(site, n)
	}
	if len(rs) > quorum.MembersMax {
		return nil, usagef("--sites: %d replicas, at most %d", len(rs), quorum.MembersMax)
	}
	if f.from != "" && !seen[f.from] {
		return nil, usagef("--from: there is no site %q", f.from)
	}
	return rs, nil
}

// asked is one expression for everybody who may ask: one need, or one for each
// site where that makes a difference.
type asked struct {
	expr  quorum.Expr
	needs []quorum.Need[string]
}

// local reports whether it matters from where an expression is asked.
func local(e quorum.Expr) bool {
	if e.In.Local {
		return true
	}
	for _, p := range e.Parts {
		if local(p) {
			return true
		}
	}
	return false
}

// bindAll binds both expressions, each for every site from which they may come.
func (f *quorumFlags) bindAll(rs []quorum.Replica[string]) (read, write asked, err error) {
	var froms []string
	for _, r := range rs {
		if n := len(froms); n == 0 || froms[n-1] != r.Site {
			froms = append(froms, r.Site)
		}
	}
	if f.from != "" {
		froms = []string{f.from}
	}
	for _, x := range [...]struct {
		flag, text string
		to         *asked
	}{{"read", f.read, &read}, {"write", f.write, &write}} {
		if x.to.expr, err = quorum.ParseExpr(x.text); err != nil {
			return read, write, usagef("--%s: %w", x.flag, err)
		}
	}
	if !local(read.expr) && !local(write.expr) {
		froms = froms[:1]
	}
	for _, x := range [...]struct {
		flag string
		to   *asked
	}{{"read", &read}, {"write", &write}} {
		for _, from := range froms {
			n, err := quorum.Bind(x.to.expr, rs, from)
			if err != nil {
				return read, write, usagef("--%s: %w", x.flag, err)
			}
			x.to.needs = append(x.to.needs, n)
		}
	}
	return read, write, nil
}

// answer is all that can be said.
func (f *quorumFlags) answer() (*quorumAnswer, error) {
	rs, err := f.replicas()
	if err != nil {
		return nil, err
	}
	if f.sites == nil && f.from != "" {
		return nil, usagef("--from: without --sites")
	}
	read, write, err := f.bindAll(rs)
	if err != nil {
		return nil, err
	}
	g, err := quorum.Guarantees(quorum.Setting[string]{
		Reads: read.needs, Writes: write.needs, Sloppy: f.sloppy, Received: f.received,
		Repair: word(f.repair.value, quorum.RepairNone, quorum.RepairWriteBack),
		Order:  word(f.order.value, quorum.OrderSiblings, quorum.OrderTag),
	})
	if err != nil {
		return nil, usage(err)
	}
	a := &quorumAnswer{
		Read: read.expr.String(), Write: write.expr.String(), Repair: f.repair.value, Order: f.order.value,
		Sloppy: f.sloppy, Received: f.received, From: f.from, Reading: g.Reading(), Survives: g.Survives,
	}
	for _, r := range rs {
		a.Replicas = append(a.Replicas, quorumReplica(r))
	}
	for _, l := range g.Lines {
		a.Promises = append(a.Promises, promised{l.Promise.String(), l.Holds, l.Says})
	}
	if err := a.fail(rs, read, write); err != nil {
		return nil, usage(err)
	}
	if err := a.predict(f, rs, read, write); err != nil {
		return nil, usage(err)
	}
	return a, nil
}

// usage is an error about an expression as a fault of whoever typed it.
func usage(err error) error {
	if errors.Is(err, quorum.ErrExpr) || errors.Is(err, pbs.ErrSetup) {
		return &usageError{err}
	}
	return err
}

// word returns the value from first to last that is spelled s.
func word[T interface {
	~uint8
	fmt.Stringer
}](s string, first, last T) T {
	for v := first; v < last; v++ {
		if v.String() == s {
			return v
		}
	}
	return last
}
