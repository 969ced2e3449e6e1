package demo

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// Spec is all that one node of the cluster is told. It becomes a triad.Config in
// this process, or the flags of `triad node` in another.
type Spec struct {
	ID         topology.NodeID
	Cluster    string
	Dir        string
	Listen     string // empty: the address its member has
	Members    []topology.Member
	Leader     topology.NodeID // of the first term
	Sync       string          // a policy, as configurations spell it
	ApplyDelay time.Duration
	Tables     []triad.Table
}

// retainEvery is short, so that a store that can no longer be flushed is found
// out while the demo runs.
const retainEvery = time.Second

// Config is what the node is opened with. listener may be nil.
func (s Spec) Config(listener net.Listener, logger *slog.Logger) (triad.Config, error) {
	policy, err := quorum.Parse(s.Sync)
	if err != nil {
		return triad.Config{}, fmt.Errorf("sync: %w", err)
	}
	return triad.Config{
		ID: s.ID, Cluster: s.Cluster, Dir: s.Dir,
		Listen: s.Listen, Listener: listener, Members: s.Members,
		Topology: singleleader.New(singleleader.Options{Sync: policy, ApplyDelay: s.ApplyDelay}),
		Leader:   s.Leader, Tables: s.Tables, Logger: logger,
		Limits: triad.Limits{RetainEvery: retainEvery},
	}, nil
}

// Args is the spec as the flags of `triad node`.
func (s Spec) Args() []string {
	args := []string{
		"node", "--id", string(s.ID), "--cluster", s.Cluster, "--dir", s.Dir,
		"--leader", string(s.Leader), "--sync", s.Sync, "--apply-delay", s.ApplyDelay.String(),
	}
	if s.Listen != "" {
		args = append(args, "--listen", s.Listen)
	}
	for _, m := range s.Members {
		args = append(args, "--member", string(m.ID)+"="+m.Addr)
	}
	for _, t := range s.Tables {
		args = append(args, "--table", t.Name+":"+triad.KindName(t.Kind))
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

// ParseTable reads name:kind.
func ParseTable(text string) (triad.Table, error) {
	name, kind, ok := strings.Cut(text, ":")
	if !ok || name == "" {
		return triad.Table{}, fmt.Errorf("table %q: want name:kind", text)
	}
	k, err := triad.ParseKind(kind)
	if err != nil {
		return triad.Table{}, fmt.Errorf("table %q: %w", text, err)
	}
	return triad.Table{Name: name, Kind: k}, nil
}

// errEndedEarly is the reason of a node that ended without one.
var errEndedEarly = errors.New("it ended without a reason")
