package placement_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Each file of testdata/stories is a story: a map, and what is asked of it.
//
//	found partitions=Q copies=N [per-site=site:n,…]   input: a line a node, ID [site=S] [rack=R] [weight=W]
//	plan [copies=N] [bytes=B]                         the same; what it would move, of B bytes a partition
//	begin                                             the plan
//	step P… | undo P… | cancel                        the map of the next epoch
//	show                                              epoch and every partition
//	write P by=NODES need=EXPR [from=SITE]            whether those who acknowledged are enough
//	read P by=NODES need=EXPR [from=SITE]             whether those who answered are
//	source P of=NODES need=EXPR                       whether a newcomer may be filled from those
//	fill P need=EXPR                                  who is to be filled before the new ones are read
//	replaces P NODE                                   whose place it takes
//	ask P epoch=E                                     how a request by an older or newer map is served
//	chunk P session=E                                 whether a chunk of a stream still counts
//	locate KEY | ring
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.tell(t, d)
			if err != nil {
				return err.Error() + "\n"
			}
			return out
		})
	})
}

type story struct {
	m    *placement.Map
	plan *placement.Plan
}

func (s *story) tell(t *testing.T, d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "found":
		var q int
		d.ScanArgs(t, "partitions", &q)
		var err error
		s.m, err = placement.Found(1, s.layout(t, d), q)
		return s.show(err)
	case "plan":
		return s.planned(t, d)
	case "begin":
		s.m = s.plan.Begin()
		return s.show(nil)
	case "step":
		return s.change(s.m.Step(numbers(t, d)...))
	case "undo":
		return s.change(s.m.Undo(numbers(t, d)...))
	case "cancel":
		return s.change(s.m.Cancel())
	case "show":
		return s.show(nil)
	case "write", "read", "source":
		return s.count(t, d)
	case "fill":
		return s.fill(t, d)
	case "replaces":
		return s.replaces(numbers(t, d)[0], topology.NodeID(d.CmdArgs[1].Key)), nil
	case "chunk":
		return s.chunk(t, d), nil
	case "ask":
		return s.ask(t, d), nil
	case "locate":
		return s.locate(d.CmdArgs[0].Key), nil
	case "ring":
		return s.ring(), nil
	}
	t.Fatalf("unknown command %s", d.Cmd)
	return "", nil
}

func (s *story) change(m *placement.Map, err error) (string, error) {
	if err == nil {
		s.m = m
	}
	return s.show(err)
}

// numbers returns the arguments that are numbers.
func numbers(t *testing.T, d *datadriven.TestData) (out []int) {
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 && a.Key[0] <= '9' {
			var n int
			_, err := fmt.Sscan(a.Key, &n)
			require.NoError(t, err)
			out = append(out, n)
		}
	}
	return out
}

// layout reads a layout. Nodes have their numbers by their names.
func (s *story) layout(t *testing.T, d *datadriven.TestData) (l placement.Layout) {
	d.MaybeScanArgs(t, "copies", &l.Copies)
	if a, ok := d.Arg("per-site"); ok {
		for _, v := range a.Vals {
			site, n, _ := strings.Cut(v, ":")
			c := placement.SiteCopies{Site: site}
			_, err := fmt.Sscan(n, &c.Copies)
			require.NoError(t, err)
			l.PerSite = append(l.PerSite, c)
		}
	}
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		n := placement.Node{ID: topology.NodeID(words[0]), Weight: 1, Numbers: 1 + 1000*uint32(words[0][0]-'a')}
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			switch k {
			case "site":
				n.Site = v
			case "rack":
				n.Rack = v
			case "weight":
				_, err := fmt.Sscan(v, &n.Weight)
				require.NoError(t, err)
			}
		}
		l.Nodes = append(l.Nodes, n)
	}
	return l
}

func (s *story) planned(t *testing.T, d *datadriven.TestData) (string, error) {
	p, err := s.m.Plan(s.layout(t, d))
	if err != nil {
		return "", err
	}
	s.plan = p
	size := uint64(1)
	d.MaybeScanArgs(t, "bytes", &size)
	var b strings.Builder
	for _, m := range p.Moves {
		fmt.Fprintf(&b, "%d: %v to %v\n", m.Partition, m.Old, m.New)
	}
	for _, l := range p.Loads(func(int) uint64 { return size }) {
		fmt.Fprintf(&b, "%s: %d to %d partitions, gains %d, sheds %d, receives %d bytes, sends %d\n", l.ID, l.Before, l.After, l.Gains, l.Sheds, l.Receives, l.Sends)
	}
	return b.String(), nil
}

func (s *story) show(err error) (string, error) {
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "epoch %d", s.m.Epoch())
	if t, ok := s.m.Target(); ok {
		fmt.Fprintf(&b, ", moving to %d nodes", len(t.Nodes))
	}
	b.WriteString("\n")
	for i := range s.m.Partitions() {
		switch p := s.m.Part(i); {
		case p.Moving():
			fmt.Fprintf(&b, "%d: %v and %v, %v since %d, read at %v\n", i, p.Old, p.New, p.Stage, p.Epoch, p.Replicas())
		case p.New != nil:
			fmt.Fprintf(&b, "%d: %v, %v since %d\n", i, p.Replicas(), p.Stage, p.Epoch)
		default:
			fmt.Fprintf(&b, "%d: %v, since %d\n", i, p.Replicas(), p.Epoch)
		}
	}
	return b.String(), nil
}

func (s *story) count(t *testing.T, d *datadriven.TestData) (string, error) {
	var text, from string
	d.ScanArgs(t, "need", &text)
	d.MaybeScanArgs(t, "from", &from)
	p := s.m.Part(numbers(t, d)[0])
	need, key := p.ReadNeed, "by"
	switch d.Cmd {
	case "write":
		need = p.WriteNeed
	case "source":
		need, key = p.SourceNeed, "of"
	}
	n, err := need(quorum.MustParseExpr(text), from)
	if err != nil {
		return "", err
	}
	tally := n.Tally()
	a, _ := d.Arg(key)
	for _, v := range a.Vals {
		tally.Yes(topology.NodeID(v))
	}
	if tally.Verdict() == quorum.Reached {
		return "enough\n", nil
	}
	return "not enough: " + tally.Lacks() + "\n", nil
}

func (s *story) fill(t *testing.T, d *datadriven.TestData) (string, error) {
	var text string
	d.ScanArgs(t, "need", &text)
	nodes, alone, err := s.m.Part(numbers(t, d)[0]).Fill(quorum.MustParseExpr(text))
	switch {
	case err != nil:
		return "", err
	case len(nodes) == 0:
		return "nobody\n", nil
	case alone:
		return fmt.Sprintf("%v, each by whose place it takes\n", nodes), nil
	}
	return fmt.Sprintf("%v, each by enough of the old ones\n", nodes), nil
}

func (s *story) replaces(partition int, node topology.NodeID) string {
	for _, m := range s.m.Moves() {
		if r, ok := m.Replaces(node); ok && m.Partition == partition {
			return fmt.Sprintf("%s takes the place of %s\n", node, r)
		}
	}
	return fmt.Sprintf("%s takes nobody's place\n", node)
}

func (s *story) chunk(t *testing.T, d *datadriven.TestData) string {
	var session uint64
	d.ScanArgs(t, "session", &session)
	if s.m.Part(numbers(t, d)[0]).Session(session) {
		return "taken\n"
	}
	return "refused: that is no session of this partition now\n"
}

func (s *story) ask(t *testing.T, d *datadriven.TestData) string {
	var epoch uint64
	d.ScanArgs(t, "epoch", &epoch)
	switch s.m.Check(numbers(t, d)[0], epoch) {
	case placement.Same:
		return "served\n"
	case placement.Ahead:
		return "learns the newer map first\n"
	case placement.Behind:
		return fmt.Sprintf("refused, and told: %v\n", s.m.Since(epoch))
	}
	return "there is no such partition\n"
}

func (s *story) locate(key string) string {
	l := s.m.Locate([]byte(key))
	return fmt.Sprintf("partition %d, %v: asked at %s; written to %d nodes\n", l.Part.ID, l.Part.Stage, places(l.Replicas), len(l.Writers))
}

func (s *story) ring() string {
	var b strings.Builder
	for _, r := range s.m.Ring() {
		fmt.Fprintf(&b, "%s: first of %d, holds %d, %.0f %% of all, %.2f of its part, to get %d, to give away %d\n", r.ID, r.First, r.Holds, 100*r.Share, r.Even, r.Joins, r.Leaves)
	}
	return b.String()
}

func places(ns []placement.Node) string {
	var s []string
	for _, n := range ns {
		s = append(s, fmt.Sprintf("%s (site %s, rack %s)", n.ID, n.Site, n.Rack))
	}
	return strings.Join(s, ", ")
}

func TestADeltaSaysWhatItBrings(t *testing.T) {
	m := begin(t, layoutOf(0b0111), layoutOf(0b1011), 2)
	next, err := m.Step(1)
	require.NoError(t, err)
	require.Equal(t, "epochs 2 to 3: partition 1 is copying since 3", next.Since(2).String())
	require.Equal(t, "epochs 1 to 3: the whole map", next.Since(1).String())
	require.Equal(t, "epochs 3 to 3: nothing", next.Since(3).String())
}
