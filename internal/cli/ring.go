package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

func newRing() *cobra.Command {
	c := &cobra.Command{
		Use:   "ring",
		Short: "Show which node holds how much, where nobody leads, and what moves",
		Long: `Show which node holds how much of the keys, where nobody leads; by which map each node
goes; and which partitions move from some nodes to others, with what they wait for.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var g topology.Ring
		err := r.ringAt(cmd, func(ctx context.Context, c client.Ring, addr string) (err error) {
			g, err = c.Show(ctx, addr)
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, ringResult(g))
	}
	c.AddCommand(newRingPlan(), newRingApply(), newRingCancel())
	return c
}

// ringAt has the first node that answers do something; where that is not the one that
// keeps the map, the one it names.
func (r *remote) ringAt(cmd *cobra.Command, do func(ctx context.Context, c client.Ring, addr string) error) error {
	return r.atFirst(cmd, func(ctx context.Context, c *client.Client, a admin.Answer) error {
		err := do(ctx, c.Operator().Ring(), a.Addr)
		var t *topology.Error
		if errors.Is(err, topology.ErrNotLeader) && errors.As(err, &t) && t.Addr != "" {
			err = do(ctx, c.Operator().Ring(), t.Addr)
		}
		return err
	})
}

// ringFlags are how the ring is to be.
type ringFlags struct {
	add, weigh []string
	remove     []string
	copies     int
}

func (f *ringFlags) on(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.add, "add", nil, "a node that comes: NAME=HOST:PORT[,site=SITE][,rack=RACK][,weight=N]; may be given several times")
	c.Flags().StringSliceVar(&f.remove, "remove", nil, "a node that leaves")
	c.Flags().StringArrayVar(&f.weigh, "weight", nil, "how much a node takes beside the others: NAME=N")
	c.Flags().IntVar(&f.copies, "copies", 0, "how many nodes hold each key; 0: as many as now")
}

// change reads the flags.
func (f *ringFlags) change() (c topology.RingChange, err error) {
	for _, text := range f.add {
		n, err := parseRingNode(text)
		if err != nil {
			return c, usagef("--add: %w", err)
		}
		c.Add = append(c.Add, n)
	}
	for _, id := range f.remove {
		if !topology.NodeID(id).Valid() {
			return c, usagef("--remove: %q is not a node's name; `triad ring` lists them", id)
		}
		c.Remove = append(c.Remove, topology.NodeID(id))
	}
	for _, text := range f.weigh {
		id, n, ok := strings.Cut(text, "=")
		w, err := strconv.ParseUint(n, 10, 16)
		if !ok || err != nil || w == 0 || !topology.NodeID(id).Valid() {
			return c, usagef("--weight: %q is not NAME=N, as in n1=2", text)
		}
		c.Weigh = append(c.Weigh, topology.RingNode{ID: topology.NodeID(id), Weight: uint32(w)})
	}
	if f.copies < 0 {
		return c, usagef("--copies: %d is no number of copies", f.copies)
	}
	c.Copies = f.copies
	if len(c.Add)+len(c.Remove)+len(c.Weigh)+c.Copies == 0 {
		return c, usagef("nothing is to change; name who comes (--add), who leaves (--remove), --weight or --copies")
	}
	return c, nil
}

// parseRingNode reads NAME=HOST:PORT[,site=SITE][,rack=RACK][,weight=N].
func parseRingNode(text string) (n topology.RingNode, err error) {
	words := strings.Split(text, ",")
	id, addr, _ := strings.Cut(words[0], "=")
	n = topology.RingNode{ID: topology.NodeID(id), Addr: addr, Weight: 1}
	if !n.ID.Valid() {
		return n, fmt.Errorf("%q is not a node's name ([a-z][a-z0-9-]{0,62})", id)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return n, fmt.Errorf("%q is not NAME=HOST:PORT", words[0])
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "site":
			n.Site = value
		case "rack":
			n.Rack = value
		case "weight":
			x, err := strconv.ParseUint(value, 10, 16)
			if err != nil || x == 0 {
				return n, fmt.Errorf("weight %q is not a number from 1 to 65,535", value)
			}
			n.Weight = uint32(x)
		default:
			return n, fmt.Errorf("%q is none of site, rack and weight", key)
		}
	}
	return n, nil
}

func newRingPlan() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what a change of nodes, weights or copies would move",
		Long: `Show what a change of nodes, weights or copies would move, and change nothing. What it
says of bytes is reckoned from what the node that answers holds itself.`,
		Example: "  triad ring plan --add n6=10.0.0.6:7400\n  triad ring plan --remove n2 --add n7=10.0.0.7:7400,weight=2",
		Args:    exactly(),
	}
	r := remoteFlags(c)
	var f ringFlags
	f.on(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		change, err := f.change()
		if err != nil {
			return err
		}
		var p topology.RingPlan
		err = r.ringAt(cmd, func(ctx context.Context, c client.Ring, addr string) (err error) {
			p, err = c.Plan(ctx, addr, change)
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, planResult(p))
	}
	return c
}

const (
	ringTimeout = 30 * time.Minute
	ringEvery   = 200 * time.Millisecond // between two looks at what moves
)

func newRingApply() *cobra.Command {
	c := &cobra.Command{
		Use:   "apply",
		Short: "Take nodes in and let nodes go, while they work",
		Long: `Change who holds what, while all goes on: take nodes in, let nodes go, replace them, give
them more or less, keep more or fewer copies. A node that comes starts from an empty
directory with a configuration that names itself and the others, before or after this
command. Partitions move one after another, and what was acknowledged stays on as many
nodes as its level needs; this command waits for the end of it (--wait=false: only for its
beginning). What --timeout cuts short goes on, as "triad ring" shows, and "triad ring
cancel" takes it back. Nodes that leave may be stopped then.

--epoch refuses the change if the map is not any more that of the plan that was looked at.`,
		Example: "  triad ring apply --add n6=10.0.0.6:7400\n  triad ring apply --remove n2 --epoch 7",
		Args:    exactly(),
	}
	r := remoteFlags(c)
	flag := c.Flags().Lookup("timeout")
	r.timeout, flag.DefValue = ringTimeout, ringTimeout.String()
	var f ringFlags
	f.on(c)
	epoch := c.Flags().Uint64("epoch", 0, "of the map that the plan was of; 0: whatever it is")
	waits := c.Flags().Bool("wait", true, "wait until all has moved")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		change, err := f.change()
		if err != nil {
			return err
		}
		return r.changeRing(cmd, change, *epoch, *waits)
	}
	return c
}

func newRingCancel() *cobra.Command {
	c := &cobra.Command{
		Use:   "cancel",
		Short: "Go back to the nodes of before, while partitions move",
		Long: `Go back to the nodes of before, while partitions move: what has moved is moved back, and
what was to come is given up. It waits for the end of that, like "triad ring apply".`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	flag := c.Flags().Lookup("timeout")
	r.timeout, flag.DefValue = ringTimeout, ringTimeout.String()
	waits := c.Flags().Bool("wait", true, "wait until all has moved back")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return r.changeRing(cmd, topology.RingChange{Cancel: true}, 0, *waits)
	}
	return c
}

// changeRing begins a change, and waits for its end.
func (r *remote) changeRing(cmd *cobra.Command, change topology.RingChange, epoch uint64, waits bool) error {
	var p topology.RingPlan
	err := r.ringAt(cmd, func(ctx context.Context, c client.Ring, addr string) (err error) {
		if p, err = c.Change(ctx, addr, change, epoch); err != nil || !waits {
			return err
		}
		t := time.NewTicker(ringEvery)
		defer t.Stop()
		for {
			g, err := c.Show(ctx, addr)
			if err == nil && !g.Moving {
				return nil
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return fmt.Errorf("%w: it goes on by itself, as `triad ring` shows: %w", topology.ErrTimeout, context.Cause(ctx))
			}
		}
	})
	if err != nil {
		return err
	}
	return r.show(cmd, planResult(p))
}

func newLocate() *cobra.Command {
	c := &cobra.Command{
		Use:   "locate TABLE KEY",
		Short: "Show which nodes hold a key, where nobody leads",
		Long:  `Show which nodes hold a key, where nobody leads, and who else is sent what is written while it moves.`,
		Args:  exactly("TABLE", "KEY"),
	}
	r := remoteFlags(c)
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var p topology.RingPlace
		err := r.ringAt(cmd, func(ctx context.Context, c client.Ring, addr string) (err error) {
			p, err = c.Locate(ctx, addr, args[0], []byte(args[1]))
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, placeResult(p))
	}
	return c
}

func newHandoff() *cobra.Command {
	c := &cobra.Command{
		Use:   "handoff",
		Short: "Show what waits in nodes' logs for nodes that lack it, where nobody leads",
		Long: `Show what waits in the logs of nodes for others that have not said that they have it, where
nobody leads: how many records, how many bytes, and how old the oldest is. A "+" says that
a log was not looked at to its end.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []topology.Handoff
		err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
			nodes, err := survey(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			for _, a := range nodes {
				if a.Err != nil {
					continue
				}
				hs, err := c.Operator().Ring().Handoff(ctx, a.Addr)
				if err != nil {
					return err
				}
				all = append(all, hs...)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return r.show(cmd, handoffResult(all))
	}
	return c
}

// ringResult is a ring as it is shown.
func ringResult(g topology.Ring) result {
	type node struct {
		ID      topology.NodeID `json:"node"`
		Site    string          `json:"site,omitempty"`
		Rack    string          `json:"rack,omitempty"`
		Weight  uint32          `json:"weight"`
		Holds   int             `json:"partitions"`
		First   int             `json:"first"`
		Share   float64         `json:"share"`
		Joins   int             `json:"to_get"`
		Leaves  int             `json:"to_give"`
		Reached bool            `json:"answers"`
		Epoch   uint64          `json:"epoch"`
		Filling string          `json:"filling,omitempty"`
	}
	v := struct {
		Epoch      uint64        `json:"epoch"`
		Partitions int           `json:"partitions"`
		Copies     int           `json:"copies"`
		Moving     bool          `json:"moving"`
		Nodes      []node        `json:"nodes"`
		Moves      []movingShown `json:"moves"`
		Problem    string        `json:"problem,omitempty"`
	}{g.Epoch, g.Partitions, g.Copies, g.Moving, []node{}, moved(g.Moves), g.Problem}
	out := result{above: fmt.Sprintf("map %d: %d partitions, %d copies of each", g.Epoch, g.Partitions, g.Copies), below: g.Problem}
	out.table.Header = []string{"node", "site", "rack", "weight", "partitions", "first of", "share", "to get", "to give", "map", "takes"}
	for _, p := range g.Nodes {
		v.Nodes = append(v.Nodes, node{p.ID, p.Site, p.Rack, p.Weight, p.Holds, p.First, p.Share, p.Joins, p.Leaves, p.Reached, p.Epoch, p.Filling})
		at := fmt.Sprint(p.Epoch)
		if !p.Reached {
			at = "no answer"
		}
		out.table.Rows = append(out.table.Rows, []string{
			string(p.ID), p.Site, p.Rack, fmt.Sprint(p.Weight), fmt.Sprint(p.Holds), fmt.Sprint(p.First), fmt.Sprintf("%.1f %%", 100*p.Share),
			fmt.Sprint(p.Joins), fmt.Sprint(p.Leaves), at, p.Filling,
		})
	}
	if g.Moving {
		out.above += fmt.Sprintf("; %d partitions are to move yet", len(g.Moves))
		for _, m := range g.Moves {
			if m.Waits != "" && m.Stage != "waiting" {
				out.below = strings.TrimPrefix(fmt.Sprintf("%s\npartition %d is %s, from %s to %s: %s", out.below, m.Partition, m.Stage, list(m.Old), list(m.New), m.Waits), "\n")
			}
		}
	}
	out.value = v
	return out
}

type movingShown struct {
	Partition int               `json:"partition"`
	Stage     string            `json:"stage"`
	Old       []topology.NodeID `json:"from"`
	New       []topology.NodeID `json:"to"`
	Waits     string            `json:"waits,omitempty"`
}

func moved(ms []topology.RingMove) []movingShown {
	out := []movingShown{}
	for _, m := range ms {
		out = append(out, movingShown(m))
	}
	return out
}

// planResult is a plan as it is shown.
func planResult(p topology.RingPlan) result {
	type load struct {
		Node     topology.NodeID `json:"node"`
		Before   int             `json:"before"`
		After    int             `json:"after"`
		Receives uint64          `json:"receives_bytes"`
		Sends    uint64          `json:"sends_bytes"`
	}
	v := struct {
		Epoch uint64        `json:"epoch"`
		Moves []movingShown `json:"moves"`
		Nodes []load        `json:"nodes"`
	}{p.Epoch, moved(p.Moves), []load{}}
	out := result{above: fmt.Sprintf("of map %d: %d partitions move", p.Epoch, len(p.Moves))}
	out.table.Header = []string{"node", "partitions", "then", "gains", "gives away", "receives", "sends"}
	for _, l := range p.Loads {
		v.Nodes = append(v.Nodes, load{l.ID, l.Before, l.After, l.Receives, l.Sends})
		out.table.Rows = append(out.table.Rows, []string{
			string(l.ID), fmt.Sprint(l.Before), fmt.Sprint(l.After), fmt.Sprint(l.Gains), fmt.Sprint(l.Sheds), fmt.Sprint(l.Receives, " B"), fmt.Sprint(l.Sends, " B"),
		})
	}
	out.value = v
	return out
}

// placeResult is where a key lies, as it is shown.
func placeResult(p topology.RingPlace) result {
	type node struct {
		ID    topology.NodeID `json:"node"`
		Site  string          `json:"site,omitempty"`
		Rack  string          `json:"rack,omitempty"`
		Asked bool            `json:"asked"`
	}
	v := struct {
		Epoch     uint64 `json:"epoch"`
		Partition int    `json:"partition"`
		Stage     string `json:"stage"`
		Nodes     []node `json:"nodes"`
	}{p.Epoch, p.Partition, p.Stage, []node{}}
	out := result{above: fmt.Sprintf("partition %d by map %d, %s", p.Partition, p.Epoch, p.Stage), table: grid.Table{Header: []string{"node", "site", "rack", "is"}}}
	for i, n := range p.Writers {
		asked, is := i < len(p.Replicas), "written, and asked"
		if !asked {
			is = "written, while the partition moves"
		}
		v.Nodes = append(v.Nodes, node{n.ID, n.Site, n.Rack, asked})
		out.table.Rows = append(out.table.Rows, []string{string(n.ID), n.Site, n.Rack, is})
	}
	out.value = v
	return out
}

// handoffResult is what waits for whom, as it is shown.
func handoffResult(all []topology.Handoff) result {
	type waits struct {
		From    topology.NodeID `json:"at"`
		To      topology.NodeID `json:"for"`
		Records uint64          `json:"records"`
		Bytes   uint64          `json:"bytes"`
		Age     float64         `json:"age_seconds"`
		More    bool            `json:"more"`
		Reached bool            `json:"reached"`
	}
	v := []waits{}
	out := result{table: grid.Table{Header: []string{"at", "for", "records", "bytes", "oldest", "reached"}}}
	for _, h := range all {
		v = append(v, waits{h.From, h.To, h.Records, h.Bytes, h.Age.Seconds(), h.More, h.Reached})
		more, reached := "", "no"
		if h.More {
			more = "+"
		}
		if h.Reached {
			reached = "yes"
		}
		out.table.Rows = append(out.table.Rows, []string{
			string(h.From), string(h.To), fmt.Sprint(h.Records) + more, fmt.Sprint(h.Bytes) + more, h.Age.Round(time.Millisecond).String(), reached,
		})
	}
	out.value = v
	return out
}
