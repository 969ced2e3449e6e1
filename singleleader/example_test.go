package singleleader_test

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
)

// The topology is a value that a node is opened with.
func ExampleNew() {
	node, err := triad.Open(triad.Config{
		Dir:      "data/a",
		FS:       vfs.NewMem(), // an example leaves nothing behind
		Topology: singleleader.New(singleleader.Options{Sync: quorum.Async()}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	go node.Run(context.Background())

	receipt, err := node.Put(context.Background(), triad.DefaultTable, []byte("k"), []byte("v"))
	fmt.Println(receipt.Durability, receipt.Durable, err)
	// Output: flushed [a] <nil>
}
