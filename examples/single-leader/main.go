// Command single-leader runs three nodes in one program: a write at the leader,
// a read of it at a follower by its token, and a failover by hand. A service
// would run one of the nodes, with the same configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// User is a row: each field is a column.
type User struct {
	Name string `msgpack:"name"`
	City string `msgpack:"city"`
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
	nodes, stop, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	receipt, err := triad.TableOf[User](nodes["a"], "users").Put(ctx, "1001", User{Name: "Alice", City: "Oslo"})
	if err != nil {
		return err
	}
	alice, err := triad.TableOf[User](nodes["c"], "users").Get(ctx, "1001", triad.After(receipt.Token))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "c reads what a wrote: %s of %s\n", alice.Name, alice.City)

	for _, id := range []topology.NodeID{"b", "c"} {
		if err := nodes[id].Wait(ctx, receipt.Token); err != nil {
			return err
		}
	}
	p, err := nodes["b"].Promote(ctx, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s leads term %d\n", p.Leader, p.Term)
	_, err = triad.TableOf[User](nodes["b"], "users").Put(ctx, "1002", User{Name: "Bob", City: "Turku"})
	if err != nil {
		return err
	}
	bob, err := triad.TableOf[User](nodes["a"], "users").Get(ctx, "1002")
	fmt.Fprintf(out, "a, a follower now, reads %s\n", bob.Name)
	return err
}

// start opens three nodes on loopback and runs them.
func start(ctx context.Context, dir string) (map[topology.NodeID]*triad.Node, func() error, error) {
	var members []triad.Member
	listeners := map[topology.NodeID]net.Listener{}
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		listeners[id] = l
		members = append(members, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	nodes := map[topology.NodeID]*triad.Node{}
	ended := make(chan error, len(members))
	stop := func() error {
		var errs []error
		for _, n := range nodes {
			errs = append(errs, n.Close())
		}
		for range nodes {
			errs = append(errs, <-ended)
		}
		return errors.Join(errs...)
	}
	for _, m := range members {
		n, err := triad.Open(triad.Config{
			ID: m.ID, Dir: filepath.Join(dir, string(m.ID)), Listener: listeners[m.ID], Members: members, Leader: "a",
			Topology: singleleader.New(singleleader.Options{Sync: quorum.Any(1, "b", "c")}),
		})
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		nodes[m.ID] = n
		go func() { ended <- n.Run(ctx) }()
	}
	return nodes, stop, nil
}
