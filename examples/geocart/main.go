// Command geocart runs three sites in one program, each of one node that takes
// writes. A shopper's session goes from one site to another and finds its cart there;
// then two sites change one cart at the same time, the last writer wins in all of
// them, and what lost is in the list of conflicts. A service would run one of the
// nodes, with the same configuration.
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

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/topology"
)

// sites are numbered for good: the writes of each are known by its number.
var sites = []multileader.Site{{Name: "us", Number: 1}, {Name: "eu", Number: 2}, {Name: "ap", Number: 3}}

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

const carts = "carts"

func run(ctx context.Context, dir string, out io.Writer) (err error) {
	shop, stop, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	if err := shop["us"].CreateTable(ctx, triad.Table{Name: carts}); err != nil {
		return err
	}
	put, err := shop["us"].Put(ctx, carts, []byte("alice"), []byte("apples"))
	if err != nil {
		return err
	}
	// The token makes the other site wait for what this session has written.
	cart, err := shop["eu"].Get(ctx, carts, []byte("alice"), triad.After(put.Token))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "eu shows what was put in us: %s\n", cart.Value)

	lost, err := clash(ctx, shop)
	if err != nil {
		return err
	}
	won := lost.Winner[0]
	fmt.Fprintf(out, "%s and %s changed one cart at once; all sites show one of the two\n", lost.Losers[0].Site, won.Site)
	for _, s := range sites {
		cart, err := shop[s.Name].Get(ctx, carts, []byte("alice"))
		if err != nil {
			return err
		}
		if string(cart.Value) != string(won.Value) {
			return fmt.Errorf("%s shows %q, and %q won", s.Name, cart.Value, won.Value)
		}
	}
	fmt.Fprintf(out, "the other is in the list: %s, %d loser\n", lost.Type, len(lost.Losers))
	return nil
}

// clash changes one cart in two sites at the same time, until neither change knew of
// the other, and returns the conflict that this was.
func clash(ctx context.Context, shop map[string]*triad.Node) (triad.Conflict, error) {
	for ctx.Err() == nil {
		var g errgroup.Group
		tokens := make([]topology.Token, 2)
		for i, site := range []string{"us", "eu"} {
			g.Go(func() error {
				r, err := shop[site].Put(ctx, carts, []byte("alice"), []byte("pears of "+site))
				tokens[i] = r.Token
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return triad.Conflict{}, err
		}
		seen := tokens[0].Join(tokens[1])
		for _, s := range sites {
			if err := shop[s.Name].Wait(ctx, seen); err != nil {
				return triad.Conflict{}, err
			}
		}
		for c, err := range shop["ap"].Operator().Conflicts(ctx, triad.ConflictPlace{}) {
			if err != nil || c.Table == carts {
				return c, err
			}
		}
	}
	return triad.Conflict{}, ctx.Err()
}

// start opens the nodes of all sites on loopback and runs them.
func start(ctx context.Context, dir string) (map[string]*triad.Node, func() error, error) {
	var members []triad.Member
	listeners := map[string]net.Listener{}
	for _, s := range sites {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		listeners[s.Name] = l
		members = append(members, triad.Member{ID: topology.NodeID(s.Name + "1"), Addr: l.Addr().String(), Site: s.Name})
	}
	nodes := map[string]*triad.Node{}
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
			ID: m.ID, Dir: filepath.Join(dir, string(m.ID)), Listener: listeners[m.Site], Members: members,
			Control:  static.New(static.Options{Leader: m.ID}), // every site has a leader of its own
			Topology: multileader.New(multileader.Options{Sites: sites}),
		})
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		nodes[m.Site] = n
		go func() { ended <- n.Run(ctx) }()
	}
	return nodes, stop, nil
}
