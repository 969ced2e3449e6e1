package triad

import (
	"sync"
	"sync/atomic"
)

// identity is what the transport knows of the cluster: the data directory's
// knowledge, which the log must share before anybody else relies on it.
type identity struct {
	home interface {
		ClusterName() string
		Cluster() (id [16]byte, known bool)
		Adopt(id [16]byte) error
		Mint() (id [16]byte, drawn bool, err error)
	}
	log interface{ SetCluster(id [16]byte) error }

	once    sync.Once
	known   chan struct{} // closed once both know the id
	founded atomic.Bool   // by this process
}

// ClusterName implements transport.Identity.
func (i *identity) ClusterName() string { return i.home.ClusterName() }

// Cluster implements transport.Identity.
func (i *identity) Cluster() (id [16]byte, known bool) { return i.home.Cluster() }

// Adopt implements transport.Identity. The log has the id before a peer is let
// in, so that nothing is placed in a log that does not know whose it is.
func (i *identity) Adopt(id [16]byte) error {
	if err := i.home.Adopt(id); err != nil {
		return err
	}
	return i.tell(id)
}

// found draws the id of a new cluster, unless one is known meanwhile.
func (i *identity) found() error {
	id, drawn, err := i.home.Mint()
	if err != nil {
		return err
	}
	i.founded.Store(drawn)
	return i.tell(id)
}

// settle tells the log what the directory knows from an earlier start.
func (i *identity) settle() error {
	id, known := i.home.Cluster()
	if !known {
		return nil
	}
	return i.tell(id)
}

func (i *identity) tell(id [16]byte) error {
	if err := i.log.SetCluster(id); err != nil {
		return err
	}
	i.once.Do(func() { close(i.known) })
	return nil
}

func (i *identity) isKnown() bool {
	select {
	case <-i.known:
		return true
	default:
		return false
	}
}
