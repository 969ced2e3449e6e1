package topology_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// A token is printable, and reads back as it was.
func ExampleParseToken() {
	seen := topology.Token{Origin: version.Origin{ID: 1, Incarnation: 1}, Term: 2, LSN: 1042}
	cookie := seen.String()
	back, err := topology.ParseToken(cookie)
	fmt.Println(cookie, back == seen, err)
	_, err = topology.ParseToken("t1.!")
	fmt.Println(errors.Is(err, topology.ErrMalformed))
	// Output:
	// t1.lAEBAs0EEg true <nil>
	// true
}

// An error says whether what was asked may still happen: only what was not
// applied may be tried again without a thought.
func ExampleOutcomeOf() {
	refused := &topology.Error{Op: "put", Node: "b", Leader: "a", Err: topology.ErrNotLeader}
	late := &topology.Error{Op: "put", Node: "a", Outcome: topology.Unknown, Err: topology.ErrTimeout}
	fmt.Println(topology.OutcomeOf(refused), "/", refused)
	fmt.Println(topology.OutcomeOf(late), "/", late)
	// Output:
	// not applied / put at b: this node does not lead; a leads (not applied)
	// outcome unknown / put at a: timed out (outcome unknown)
}
