package pack_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record/pack"
)

// A shape is written and read field by field; the first error stands until the end.
func Example() {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(1001)
	w.Str("Alice")

	r := pack.NewReader(w.Bytes())
	r.ArrayOf(2)
	id, name := r.Uint(), r.StrMax(64)
	fmt.Println(id, name, r.Done())

	hostile := pack.NewReader([]byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01}) // claims four billion elements
	hostile.Array()
	fmt.Println(errors.Is(hostile.Done(), pack.ErrMalformed))
	// Output:
	// 1001 Alice <nil>
	// true
}
