package static_test

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/singleleader"
)

// The first leader is named; who leads afterwards is an operator's word.
func ExampleNew() {
	node, err := triad.Open(triad.Config{
		Dir:      "data/a",
		FS:       vfs.NewMem(), // an example leaves nothing behind
		Control:  static.New(static.Options{Leader: "a"}),
		Topology: singleleader.New(singleleader.Options{}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(node.Status().Leader == "" || node.Status().Leader == "a", node.Close())
	// Output: true <nil>
}
