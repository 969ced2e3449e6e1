package triad

import (
	"errors"
	"sync/atomic"

	"github.com/triad-kv/triad/topology"
)

// reasons are what calls fail for, as they are counted; whatever is none of them is
// the last.
var reasons = []error{
	topology.ErrNotFound, topology.ErrNotLeader, topology.ErrUnavailable, topology.ErrTimeout, topology.ErrConditionFailed,
	topology.ErrConflict, topology.ErrTooLarge, topology.ErrUnsupported, topology.ErrNoTable, topology.ErrMalformed,
	topology.ErrStale, topology.ErrRewound, topology.ErrCompacted, topology.ErrOverloaded, topology.ErrQuarantined,
	topology.ErrClosed, topology.ErrDiskFull, topology.ErrFailed, topology.ErrDenied, errOther,
}

// What a cause is counted as where it has several: the failure of a node, and who
// leads, go before the time that ran out meanwhile.
var reasonsFirst = []error{topology.ErrFailed, topology.ErrNotLeader, topology.ErrOverloaded}

var errOther = errors.New("other")

// counts is what a node counts from its start on.
type counts struct {
	reads  [topology.ReadLeased + 1]atomic.Uint64
	writes atomic.Uint64
	errors [32][2]atomic.Uint64 // by reason and outcome
}

func (c *counts) read(g topology.Guarantee) { c.reads[min(g, topology.ReadLeased)].Add(1) }

func (c *counts) failed(err error) {
	if err != nil {
		c.errors[reasonOf(err)][min(topology.OutcomeOf(err), topology.Unknown)].Add(1)
	}
}

// reasonOf returns the index of the reason that err is counted as.
func reasonOf(err error) int {
	for _, list := range [][]error{reasonsFirst, reasons} {
		for _, r := range list {
			if errors.Is(err, r) {
				return indexOf(r)
			}
		}
	}
	return len(reasons) - 1
}

func indexOf(reason error) int {
	for i, r := range reasons {
		if r == reason {
			return i
		}
	}
	return len(reasons) - 1
}

// write adds what was counted to n.
func (c *counts) write(n *topology.Counts) {
	for g := range c.reads {
		n.Reads[g] = c.reads[g].Load()
	}
	n.Writes, n.Errors = c.writes.Load(), map[string]uint64{}
	for i, r := range reasons {
		for o := range c.errors[i] {
			if v := c.errors[i][o].Load(); v > 0 {
				n.Errors[r.Error()+"/"+topology.Outcome(o).String()] = v
			}
		}
	}
}
