// Command sessions keeps the sessions of a web site on three nodes in one program, none
// of which leads. Somebody logs in at one node and is let in by all; a node goes, and
// nobody notices; who has logged out is let in by none, also where a request that was
// under way has renewed the session meanwhile. A service would run one of the nodes, with
// the same configuration, behind any load balancer.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const (
	sessions = "sessions" // by id: whose it is; renewed by every request
	ended    = "ended"    // by id: it was logged out; written once, and never undone

	idle = 30 * time.Minute // after which a session is over
)

var tables = []triad.Table{{Name: sessions, Kind: record.KindBytes}, {Name: ended, Kind: record.KindBytes}}

// errNoSession says that there is none, or that it is over.
var errNoSession = errors.New("log in, please")

// door lets people in, by any node.
type door struct{ *triad.Node }

func (d door) login(ctx context.Context, user string) (id string, err error) {
	id = rand.Text()
	_, err = d.Put(ctx, sessions, []byte(id), []byte(user), triad.TTL(idle))
	return id, err
}

// enter returns whose session it is. Both reads hear two of three nodes, and every write
// is on two: what was acknowledged anywhere is found.
func (d door) enter(ctx context.Context, id string) (user string, err error) {
	_, err = d.Get(ctx, ended, []byte(id))
	if err == nil {
		return "", errNoSession
	}
	if !errors.Is(err, topology.ErrNotFound) {
		return "", err
	}
	s, err := d.Get(ctx, sessions, []byte(id))
	if errors.Is(err, topology.ErrNotFound) {
		err = errNoSession
	}
	return string(s.Value), err
}

// renew begins the time of a session anew.
func (d door) renew(ctx context.Context, id, user string) error {
	_, err := d.Put(ctx, sessions, []byte(id), []byte(user), triad.TTL(idle))
	return err
}

// logout ends a session. It could delete it; but the last writer of a key wins, and that
// may be a request that renews it. Nobody writes the other table but to end a session, and
// what it says outlives every renewal that did not know of it.
func (d door) logout(ctx context.Context, id string) error {
	_, err := d.Put(ctx, ended, []byte(id), nil, triad.TTL(2*idle))
	return err
}

func main() {
	dir, err := os.MkdirTemp("", "triad-example-")
	if err != nil {
		log.Fatal(err)
	}
	err = run(context.Background(), dir, os.Stdout)
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string, out io.Writer) (err error) {
	c, err := start(ctx, dir)
	defer func() { err = errors.Join(err, c.stop()) }()
	if err != nil {
		return err
	}
	alice, err := c.doors[0].login(ctx, "alice")
	if err != nil {
		return err
	}
	if err := c.let(ctx, "alice", alice); err != nil {
		return err
	}
	fmt.Fprintln(out, "alice logged in at a; all nodes let her in")

	if err := c.lose(); err != nil {
		return err
	}
	bob, err := c.doors[1].login(ctx, "bob")
	if err != nil {
		return err
	}
	if err := errors.Join(c.let(ctx, "alice", alice), c.let(ctx, "bob", bob)); err != nil {
		return err
	}
	fmt.Fprintln(out, "c is gone; bob logged in at b, and the others let both in")

	user, err := c.doors[0].enter(ctx, alice) // a request of hers is under way,
	if err != nil {
		return err
	}
	if err := c.doors[1].logout(ctx, alice); err != nil { // she logs out elsewhere,
		return err
	}
	if err := c.doors[0].renew(ctx, alice, user); err != nil { // and the request ends
		return err
	}
	for _, d := range c.doors {
		switch user, err := d.enter(ctx, alice); {
		case err == nil:
			return fmt.Errorf("%s was let in after logging out", user)
		case !errors.Is(err, errNoSession):
			return err
		}
	}
	fmt.Fprintln(out, "alice logged out at b; nobody lets her in, though a renewed her session")
	return c.let(ctx, "bob", bob)
}

// cluster is the nodes that run.
type cluster struct {
	doors []door
	ended []chan error // of each: what its Run returned
}

// let wants a session to be somebody's at every node.
func (c *cluster) let(ctx context.Context, user, id string) error {
	for _, d := range c.doors {
		got, err := d.enter(ctx, id)
		if err != nil {
			return fmt.Errorf("the session of %s: %w", user, err)
		}
		if got != user {
			return fmt.Errorf("the session of %s is that of %q", user, got)
		}
	}
	return nil
}

// lose ends the last node.
func (c *cluster) lose() error {
	last := len(c.doors) - 1
	err := errors.Join(c.doors[last].Close(), <-c.ended[last])
	c.doors, c.ended = c.doors[:last], c.ended[:last]
	return err
}

func (c *cluster) stop() (err error) {
	for len(c.doors) > 0 {
		err = errors.Join(err, c.lose())
	}
	return err
}

// start opens three nodes on loopback, runs them, and waits until they let people in. What
// it has started is stopped by its caller, also where it fails.
func start(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{}
	var members []triad.Member
	var listeners []net.Listener
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return c, err
		}
		listeners = append(listeners, l)
		members = append(members, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	for i, m := range members {
		n, err := triad.Open(triad.Config{
			ID: m.ID, Dir: filepath.Join(dir, string(m.ID)), Listener: listeners[i], Members: members, Tables: tables,
			Leader:   members[0].ID, // leads nobody: it keeps the map of who holds what
			Topology: leaderless.New(leaderless.Options{Replicas: len(members)}),
		})
		if err != nil {
			return c, err
		}
		done := make(chan error, 1)
		c.doors, c.ended = append(c.doors, door{n}), append(c.ended, done)
		go func() { done <- n.Run(ctx) }()
	}
	for _, d := range c.doors {
		if err := d.open(ctx); err != nil {
			return c, err
		}
	}
	return c, nil
}

// open waits until a node finds that there is no such session.
func (d door) open(ctx context.Context) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		_, err := d.enter(ctx, "nobody")
		if errors.Is(err, errNoSession) {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}
