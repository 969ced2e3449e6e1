package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config"
)

// Door answers clients on a port beside the peers port.
type Door interface {
	// Serve answers on l until ctx ends (nil) or l fails. Once ctx has ended it
	// takes no more requests, answers those under way and returns. It closes l.
	Serve(ctx context.Context, l net.Listener) error
}

// RESP makes the door for Redis clients of an open node.
type RESP func(n *triad.Node, c *config.Node, logger *slog.Logger) (Door, error)

// Start is what a node of a demo starts with.
type Start struct {
	Spec
	Peers   net.Listener // bound already, closed by the node
	Clients net.Listener // for Redis clients; nil if there is no RESP
	RESP    RESP
	Logger  *slog.Logger

	fs    triad.FS
	below func(ctx context.Context, addr string) (net.Conn, error)
}

// Alive is an open node of a demo.
type Alive struct {
	*Wires
	node    *triad.Node
	door    Door
	clients net.Listener
}

// Open opens the node. It closes the listeners if it fails.
func (s Start) Open() (*Alive, error) {
	a := &Alive{clients: s.Clients}
	var err error
	var c triad.Config
	var n *config.Node
	if a.Wires, err = s.Wires(s.below); err == nil {
		c, n, err = s.Spec.Open(s.Peers, a.Wires, s.Logger)
	}
	if err != nil {
		return nil, errors.Join(err, s.Peers.Close(), a.closeClients())
	}
	c.FS = s.fs
	if a.node, err = triad.Open(c); err != nil {
		return nil, errors.Join(err, a.closeClients()) // it has closed its own
	}
	if a.clients != nil {
		if a.door, err = s.RESP(a.node, n, s.Logger); err != nil {
			return nil, errors.Join(err, a.node.Close(), a.closeClients())
		}
	}
	return a, nil
}

func (a *Alive) closeClients() error {
	if a.clients == nil {
		return nil
	}
	return a.clients.Close()
}

// Addr is the address of the peers port.
func (a *Alive) Addr() net.Addr { return a.node.Addr() }

// Run runs the node until ctx ends (nil) or it can not go on. Its clients are
// turned away first; then it ends; then what it sent last arrives.
func (a *Alive) Run(ctx context.Context) error {
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	serving, turnAway := context.WithCancel(ctx)
	defer turnAway()
	var wait sync.WaitGroup
	var served error
	wait.Go(func() {
		defer end()
		if a.door == nil {
			<-serving.Done()
			return
		}
		served = a.door.Serve(serving, a.clients)
	})
	err := a.node.Run(alive)
	turnAway()
	wait.Wait()
	err = errors.Join(err, served, a.node.Close())
	a.Drain()
	return err
}
