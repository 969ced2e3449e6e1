package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/topology"
)

// Spec is all that one node of the cluster is told, in this process, or by the
// flags of `triad node` in another: which node of which file it is, and what the
// file does not know.
type Spec struct {
	ID         topology.NodeID
	File       string // of the cluster
	Cluster    string // replaces the name that the file gives
	Dir        string
	Members    []topology.Member
	ApplyDelay time.Duration // replaces that of the file
	Links      []Wire        // to nodes that are far away, or may be cut off

	Controls []config.ControlKind // that the file may name
}

// Wire is how far away another node is.
type Wire struct {
	To          topology.NodeID
	There, Back time.Duration
}

// retainEvery is short, so that a store that can no longer be flushed is found
// out while the demo runs.
const retainEvery = time.Second

// Node is the configuration of the node.
func (s Spec) Node() (*config.Node, error) {
	text, err := os.ReadFile(s.File)
	if err != nil {
		return nil, err
	}
	c, err := config.Reader{Controls: s.Controls}.ReadCluster(s.File, text)
	if err != nil {
		return nil, err
	}
	nodes := c.Nodes()
	if s.joins(nodes) && c.NobodyLeads() {
		nodes = append(nodes, config.Joining(c, string(s.ID)))
	}
	var faults []error
	config.Place(nodes, func(n *config.Node) (string, config.Listen) {
		i := slices.IndexFunc(s.Members, func(m topology.Member) bool { return string(m.ID) == n.Self.ID })
		if i < 0 {
			faults = append(faults, fmt.Errorf("the address of node %s of %s is not known", n.Self.ID, s.File))
			return "", n.Listen
		}
		l := n.Listen
		l.Peers = s.Members[i].Addr
		return s.Dir, l
	})
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(nodes, func(n config.Node) bool { return n.Self.ID == string(s.ID) })
	if i < 0 {
		return nil, fmt.Errorf("there is no node %q in %s", s.ID, s.File)
	}
	n := &nodes[i]
	n.Cluster, n.Self.ApplyDelay = s.Cluster, config.Duration(s.ApplyDelay)
	return n, nil
}

// joins reports whether the node is a member that the file does not name.
func (s Spec) joins(nodes []config.Node) bool {
	member := slices.ContainsFunc(s.Members, func(m topology.Member) bool { return m.ID == s.ID })
	return member && !slices.ContainsFunc(nodes, func(n config.Node) bool { return n.Self.ID == string(s.ID) })
}

// Open is what the node is opened with. It dials through w; listener may be nil.
func (s Spec) Open(listener net.Listener, w *Wires, logger *slog.Logger) (triad.Config, *config.Node, error) {
	n, err := s.Node()
	if err != nil {
		return triad.Config{}, nil, err
	}
	c, err := n.Open()
	if err != nil {
		return c, nil, err
	}
	c.Listener, c.Logger, c.Dial = listener, logger, w.dialer.Dial
	c.Limits.RetainEvery = retainEvery
	return c, n, nil
}

// Args is the spec as the flags of `triad node`.
func (s Spec) Args() []string {
	args := []string{
		"node", "--id", string(s.ID), "--file", s.File, "--cluster", s.Cluster, "--dir", s.Dir, "--apply-delay", s.ApplyDelay.String(),
	}
	for _, m := range s.Members {
		args = append(args, "--member", string(m.ID)+"="+m.Addr)
	}
	for _, w := range s.Links {
		args = append(args, "--link", w.String())
	}
	return args
}

// ParseMember reads id=host:port.
func ParseMember(text string) (topology.Member, error) {
	id, addr, ok := strings.Cut(text, "=")
	m := topology.Member{ID: topology.NodeID(id), Addr: addr}
	if !ok || !m.ID.Valid() || addr == "" {
		return m, fmt.Errorf("member %q: want id=host:port", text)
	}
	return m, nil
}

func (w Wire) String() string { return fmt.Sprintf("%s=%v/%v", w.To, w.There, w.Back) }

// ParseWire reads id=there/back, two durations.
func ParseWire(text string) (Wire, error) {
	id, delays, ok := strings.Cut(text, "=")
	there, back, both := strings.Cut(delays, "/")
	w := Wire{To: topology.NodeID(id)}
	var errs [2]error
	w.There, errs[0] = time.ParseDuration(there)
	w.Back, errs[1] = time.ParseDuration(back)
	if !ok || !both || !w.To.Valid() || errors.Join(errs[:]...) != nil {
		return w, fmt.Errorf("link %q: want id=delay/delay, there and back", text)
	}
	return w, nil
}

// Wires are the links of one node, by whom they lead to.
type Wires struct {
	dialer link.Dialer
	to     map[topology.NodeID]*link.Link
}

// Wires makes the links of a node. below makes connections; nil is TCP.
func (s Spec) Wires(below func(ctx context.Context, addr string) (net.Conn, error)) (*Wires, error) {
	w := &Wires{dialer: link.Dialer{Links: map[string]*link.Link{}, Below: below}, to: map[topology.NodeID]*link.Link{}}
	for _, wire := range s.Links {
		i := slices.IndexFunc(s.Members, func(m topology.Member) bool { return m.ID == wire.To })
		if i < 0 {
			return nil, fmt.Errorf("link to %s: it is no member", wire.To)
		}
		l, err := link.New(link.Options{Delay: wire.There}, link.Options{Delay: wire.Back})
		if err != nil {
			return nil, err
		}
		w.to[wire.To], w.dialer.Links[s.Members[i].Addr] = l, l
	}
	return w, nil
}

// The words by which a node is told of its links.
const (
	wordCut  = "cut"
	wordHeal = "heal"
)

// Obey does what a line says: cut NODE, or heal NODE.
func (w *Wires) Obey(line string) error {
	word, to, _ := strings.Cut(strings.TrimSpace(line), " ")
	l := w.to[topology.NodeID(to)]
	switch {
	case word != wordCut && word != wordHeal:
		return fmt.Errorf("%.64q is neither %s nor %s", word, wordCut, wordHeal)
	case l == nil:
		return fmt.Errorf("there is no link to %.64q", to)
	case word == wordCut:
		l.Cut()
	default:
		l.Heal()
	}
	return nil
}

// Restore heals every link.
func (w *Wires) Restore() {
	for _, l := range w.to {
		l.Heal()
	}
}

// Drain waits until what was sent before the node ended has arrived, as long as a
// link tries to deliver it.
func (w *Wires) Drain() {
	_ = w.dialer.Drain(context.Background()) // it ends by itself
}

// errEndedEarly is the reason of a node that ended without one.
var errEndedEarly = errors.New("it ended without a reason")
