package transport

import (
	"fmt"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// Ephemeral returns an identity that is kept in memory alone, for clients and
// tests: it knows the cluster's name, and learns its id from whoever it reaches first.
func Ephemeral(clusterName string) Identity { return &ephemeral{name: clusterName} }

type ephemeral struct {
	name string

	mu    sync.Mutex
	id    [16]byte
	known bool
}

func (e *ephemeral) ClusterName() string { return e.name }

func (e *ephemeral) Cluster() (id [16]byte, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.id, e.known
}

func (e *ephemeral) Adopt(id [16]byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known && e.id != id {
		return fmt.Errorf("the cluster's id is %x, not %x: %w", e.id, id, topology.ErrDenied)
	}
	e.id, e.known = id, true
	return nil
}
