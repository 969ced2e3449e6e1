package triad_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// run opens a node that is alone, runs it, and returns how it is ended. Its
// directory is in memory, so that the examples leave nothing behind.
func run() (node *triad.Node, end func()) {
	node, err := triad.Open(triad.Config{
		Dir:      "data/a",
		FS:       vfs.NewMem(),
		Topology: singleleader.New(singleleader.Options{}),
	})
	if err != nil {
		panic(err)
	}
	done := make(chan error, 1)
	go func() { done <- node.Run(context.Background()) }()
	return node, func() {
		if err := errors.Join(node.Close(), <-done); err != nil {
			panic(err)
		}
	}
}

// A node that is alone needs a directory and a topology.
func Example() {
	ctx := context.Background()
	node, end := run()
	defer end()

	type User struct {
		Name string `msgpack:"name"`
		Age  int    `msgpack:"age"`
	}
	users := triad.TableOf[User](node, "users")
	receipt, err := users.Put(ctx, "1001", User{Name: "Alice", Age: 33})
	if err != nil {
		fmt.Println(err)
		return
	}
	alice, err := users.Get(ctx, "1001", triad.After(receipt.Token)) // on any node
	fmt.Println(alice.Name, alice.Age, err)
	// Output: Alice 33 <nil>
}

func ExampleNode_Put() {
	ctx := context.Background()
	node, end := run()
	defer end()

	_, err := node.Put(ctx, triad.DefaultTable, []byte("greeting"), []byte("hello"), triad.IfAbsent())
	fmt.Println(err)
	_, err = node.Put(ctx, triad.DefaultTable, []byte("greeting"), []byte("again"), triad.IfAbsent())
	fmt.Println(errors.Is(err, topology.ErrConditionFailed), topology.OutcomeOf(err))
	// Output:
	// <nil>
	// true not applied
}

func ExampleNode_Get() {
	ctx := context.Background()
	node, end := run()
	defer end()

	_, err := node.Get(ctx, triad.DefaultTable, []byte("nothing"))
	fmt.Println(errors.Is(err, topology.ErrNotFound))

	_, err = node.Get(ctx, "nobody", []byte("k"))
	fmt.Println(errors.Is(err, topology.ErrNoTable))
	// Output:
	// true
	// true
}

func ExampleNode_Batch() {
	ctx := context.Background()
	node, end := run()
	defer end()

	put := func(key, value string) {
		if _, err := node.Put(ctx, triad.DefaultTable, []byte(key), []byte(value)); err != nil {
			fmt.Println(err)
		}
	}
	put("alice", "70")
	put("bob", "30")
	_, err := node.Batch(ctx, triad.NewBatch().
		IfValue(triad.DefaultTable, []byte("alice"), []byte("70")).
		Put(triad.DefaultTable, []byte("alice"), []byte("50")).
		Put(triad.DefaultTable, []byte("bob"), []byte("50")))
	fmt.Println(err)
	for item, err := range node.Scan(ctx, triad.DefaultTable, nil, nil) {
		fmt.Printf("%s %s %v\n", item.Key, item.Value, err)
	}
	// Output:
	// <nil>
	// alice 50 <nil>
	// bob 50 <nil>
}

func ExampleNode_CreateTable() {
	ctx := context.Background()
	node, end := run()
	defer end()

	fmt.Println(node.CreateTable(ctx, triad.Table{Name: "users", Kind: record.KindRow}))
	err := node.CreateTable(ctx, triad.Table{Name: "users", Kind: record.KindBytes})
	var c *triad.Contradiction
	if errors.As(err, &c) {
		fmt.Println(c)
	}
	// Output:
	// <nil>
	// table users (bytes) was asked for, and is defined as users (row): a definition never changes
}

// A watch shows what is there, and then what comes, without a gap between the two.
func ExampleNode_Watch() {
	ctx := context.Background()
	node, end := run()
	defer end()

	scores := triad.TableOf[int](node, "scores")
	if _, err := scores.Put(ctx, "alice", 1, triad.Durability(topology.Applied)); err != nil {
		fmt.Println(err)
	}
	for change, err := range node.Watch(ctx, "scores", triad.WatchOptions{State: true}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		for _, k := range change.Keys {
			score, there, err := scores.Of(k)
			fmt.Println(change.Kind, string(k.Key), score, there, err)
		}
		if change.Kind == topology.ChangeWrite {
			break
		}
		if change.Kind == topology.ChangePosition { // all that was there was yielded
			if _, err := scores.Put(ctx, "bob", 2); err != nil {
				fmt.Println(err)
			}
		}
	}
	// Output:
	// state alice 1 true <nil>
	// write bob 2 true <nil>
}

func ExampleTypedTable_Scan() {
	ctx := context.Background()
	node, end := run()
	defer end()

	scores := triad.TableOf[int](node, "scores")
	for name, score := range map[string]int{"carol": 3, "alice": 1, "bob": 2} {
		if _, err := scores.Put(ctx, name, score); err != nil {
			fmt.Println(err)
		}
	}
	for row, err := range scores.Scan(ctx, "b", "") {
		fmt.Println(row.Key, row.Value, err)
	}
	// Output:
	// bob 2 <nil>
	// carol 3 <nil>
}
