// Package worlds is the table of what runs on the deterministic floor.
package worlds

import (
	"fmt"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/sim/oneleader"
	"github.com/triad-kv/triad/internal/sim/quorums"
	"github.com/triad-kv/triad/internal/sim/sites"
)

// All are the worlds there are. A new one has a line here, and nothing else
// anywhere.
var All = []*sim.World{
	&oneleader.World,
	&oneleader.Elections,
	&oneleader.Leases,
	&sites.World,
	&quorums.World,
}

// Named returns the world of that name; the first for none.
func Named(name string) (*sim.World, error) {
	var names []string
	for _, w := range All {
		if w.Name == name || name == "" {
			return w, nil
		}
		names = append(names, w.Name)
	}
	return nil, fmt.Errorf("no world %q: there are %q", name, names)
}
