// Package members is the membership of a cluster whose nodes are listed in the
// configuration: a [topology.Membership] that finds out nothing by itself.
//
// It promises that a view is sorted by node, holds this node, and names no node
// and no address twice; and that the channel of a view is closed once, and only,
// when [List.Set] or [List.Admit] has replaced it. It assumes that every node was given the same
// list: who counts is decided elsewhere (see [topology.Control]), so a list that
// differs makes nodes unreachable, never a wrong quorum.
package members

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// MembersMax is how many nodes a list may hold.
const MembersMax = 1024

// List is a static membership. It is safe for concurrent use.
type List struct {
	self topology.NodeID

	mu    sync.Mutex // guards what follows; a leaf
	view  topology.View
	stale chan struct{} // closed when view has been replaced
}

// New returns the list of all members, self included. Every fault of the list
// is named in the error.
func New(self topology.NodeID, all []topology.Member) (*List, error) {
	l := &List{self: self, stale: make(chan struct{})}
	view, err := l.viewOf(all)
	if err != nil {
		return nil, err
	}
	l.view = view
	return l, nil
}

// View implements topology.Membership. The view is shared: read only.
func (l *List) View() (topology.View, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view, l.stale
}

// Set replaces the list. One with faults is refused, and the old one stays.
func (l *List) Set(all []topology.Member) error {
	view, err := l.viewOf(all)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Equal(l.view.Members, view.Members) {
		return nil
	}
	l.replace(view)
	return nil
}

// Admit implements topology.Admitter.
func (l *List) Admit(ms ...topology.Member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.view.Admit(ms, MembersMax, func(topology.Member) bool { return false })
	if !slices.Equal(l.view.Members, v.Members) {
		l.replace(v)
	}
}

// replace is called with the lock held.
func (l *List) replace(v topology.View) {
	l.view = v
	close(l.stale)
	l.stale = make(chan struct{})
}

// Leave implements topology.Membership: nobody listens.
func (l *List) Leave(context.Context) error { return nil }

// Run implements topology.Membership: it waits for ctx.
func (l *List) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (l *List) viewOf(all []topology.Member) (topology.View, error) {
	if err := Check(l.self, all); err != nil {
		return topology.View{}, err
	}
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) })
	return topology.View{Members: sorted}, nil
}

// Check returns every fault of a list of members, nil if there is none. An
// address may be missing where there is nobody to reach: in a list of one.
func Check(self topology.NodeID, all []topology.Member) error {
	return check(self, all, len(all) == 1)
}

// CheckNames is Check where addresses are found out, and may be missing.
func CheckNames(self topology.NodeID, all []topology.Member) error {
	return check(self, all, true)
}

func check(self topology.NodeID, all []topology.Member, mayMiss bool) error {
	if len(all) > MembersMax {
		return fmt.Errorf("%d members are more than %d", len(all), MembersMax)
	}
	var errs []error
	fault := func(i int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("members[%d]: "+format, append([]any{i}, args...)...))
	}
	ids, addrs := map[topology.NodeID]int{}, map[string]int{}
	for i, m := range all {
		switch at, twice := ids[m.ID]; {
		case !m.ID.Valid():
			fault(i, "id %q is not a node's name", m.ID)
		case twice:
			fault(i, "id %q is that of members[%d] too", m.ID, at)
		default:
			ids[m.ID] = i
		}
		switch at, twice := addrs[m.Addr]; {
		case m.Addr == "" && !mayMiss:
			fault(i, "node %q has no address", m.ID)
		case m.Addr != "" && twice:
			fault(i, "address %q is that of members[%d] too", m.Addr, at)
		default:
			addrs[m.Addr] = i
		}
	}
	if _, there := ids[self]; !there {
		errs = append(errs, fmt.Errorf("members: this node, %q, is not among them", self))
	}
	return errors.Join(errs...)
}
