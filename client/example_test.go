package client_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// A client needs the address of one node.
func Example() {
	ctx := context.Background()
	node, err := triad.Open(triad.Config{
		Dir:      "data/a",
		FS:       vfs.NewMem(), // so that the example leaves nothing behind
		Listen:   "127.0.0.1:0",
		Topology: singleleader.New(singleleader.Options{}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()

	c, err := client.Dial([]string{node.Addr().String()}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := c.Put(ctx, "default", []byte("greeting"), []byte("hello"))
	fmt.Println(receipt.Durability, err)
	reading, err := c.Get(ctx, "default", []byte("greeting"), client.After(receipt.Token))
	fmt.Println(string(reading.Value), err)
	_, err = c.Get(ctx, "default", []byte("nothing"))
	fmt.Println(errors.Is(err, topology.ErrNotFound))

	fmt.Println(errors.Join(c.Close(), node.Close(), <-done))
	// Output:
	// flushed <nil>
	// hello <nil>
	// true
	// <nil>
}
