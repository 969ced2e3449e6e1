package etcd

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Keys below the prefix and the cluster's name.
const (
	documentKey = "document/" // and a document's name
	nameKey     = "name/"     // and a node's, while somebody holds it
	numberKey   = "number"    // how many claims there were
)

// New returns a builder of the backend. It connects to nothing.
func New(o Options) topology.ControlBuilder {
	return func(env topology.ControlEnv) (topology.Control, error) { return open(env, o) }
}

// Control is the backend. It is safe for concurrent use.
type Control struct {
	self   topology.NodeID
	root   string // of all keys, with a '/' at its end
	lease  time.Duration
	every  time.Duration // between reviews
	logger *slog.Logger
	link   *link
	known  *knowledge

	// wake tells Run that there are claims to keep.
	wake chan struct{}

	mu     sync.Mutex      // guards what follows; never held over I/O
	claims map[*claim]bool // whether it is kept alive
}

var _ topology.Control = (*Control)(nil)

func open(env topology.ControlEnv, o Options) (*Control, error) {
	if env.Stable == nil {
		return nil, errors.New("control: etcd: it is lent no place to keep what it has seen")
	}
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	known, err := remember(env.Stable, o.ClusterID)
	if err != nil {
		return nil, fmt.Errorf("control: %s: %w", stableName, err)
	}
	logger := env.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Control{
		self: env.Self, root: o.Prefix + "/" + o.Cluster + "/", lease: o.LeaseTTL, every: o.Review, logger: logger,
		link: &link{options: o, logger: logger}, known: known,
		wake: make(chan struct{}, 1), claims: map[*claim]bool{},
	}, nil
}

// fail is how calls of this backend fail.
func (c *Control) fail(op string, outcome topology.Outcome, err error) error {
	return &topology.Error{Op: op, Node: c.self, Outcome: outcome, Err: fmt.Errorf("control: %w", err)}
}
