package client

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Route says which node a read is sent to first. What the read asks for is met
// whichever that is: a node that cannot meet it is not chosen, or says so and
// another is asked, the leader in the end.
type Route uint8

// The routes.
const (
	RouteUsual      Route = iota // the node that took the last call, which is the leader after a write
	RouteLeader                  // the leader
	RouteRoundRobin              // every node in turn
	RouteLeastLag                // of the nodes that follow, the one least behind; the leader if none may answer
	RouteNearest                 // the node with the shortest round trip, as it was measured
	RouteSticky                  // one node, the nearest at first, while it may answer and does
)

func (r Route) String() string {
	names := [...]string{"usual", "leader", "round-robin", "least-lag", "nearest", "sticky"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("Route(%d)", uint8(r))
}

// ParseRoute reads a route as String prints it.
func ParseRoute(s string) (Route, error) {
	for r := RouteUsual; r <= RouteSticky; r++ {
		if r.String() == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("route %q: one of usual, leader, round-robin, least-lag, nearest, sticky", s)
}

// need is what a read asks of the node that answers it.
type need struct {
	any      bool
	after    topology.Token
	maxStale time.Duration // 0 for no bound
	maxLag   uint64        // 0 for no bound
	maxBytes uint64        // 0 for no bound
	newest   bool          // all that was acknowledged before it began
}

// needOf returns what the options of a read ask for. Without one, that is the
// topology's own default: the strongest.
func needOf(w *call.Wishes) need {
	o := w.Read()
	n := need{any: o.Guarantee == topology.ReadAny, after: o.After, maxStale: o.MaxStale, maxLag: o.MaxLag, maxBytes: o.MaxBytes}
	n.newest = o.Guarantee == topology.ReadLinearizable || o.Guarantee == topology.ReadLeased || o.Guarantee == topology.ReadDefault
	return n
}

// choice is what a read's nodes are chosen by.
type choice struct {
	route  Route
	leader topology.NodeID // empty if not known
	turn   uint64          // of round robin
	stuck  topology.NodeID // of sticky; empty if none yet
}

// choose returns the nodes to ask, in that order: those that may answer as the
// route orders them, those that have just failed behind the others, and the leader
// at the end if it is not among them. It is a function of what it is given; all is
// sorted by node.
func choose(c choice, n need, all []Member) []topology.NodeID {
	var fit []Member
	for i := range all {
		if m := &all[i]; n.metBy(m, c.leader) {
			fit = append(fit, *m)
		}
	}
	order(c, fit)
	slices.SortStableFunc(fit, func(a, b Member) int { return compareBool(a.Failing, b.Failing) })
	ids := make([]topology.NodeID, 0, len(fit)+1)
	for i := range fit {
		ids = append(ids, fit[i].ID)
	}
	if !slices.ContainsFunc(all, func(m Member) bool { return m.ID == c.leader }) {
		return ids
	}
	switch at := slices.Index(ids, c.leader); {
	case at < 0:
		ids = append(ids, c.leader)
	case at > 1 && n.leaderNext():
		ids = slices.Insert(slices.Delete(ids, at, at+1), 1, c.leader)
	}
	return ids
}

// leaderNext reports whether a node that fails is likely to fail for being behind,
// so that the leader is the one to ask next.
func (n *need) leaderNext() bool {
	return !n.after.IsZero() || n.maxStale > 0 || n.maxLag > 0 || n.maxBytes > 0
}

// metBy reports whether a node may be asked: as far as is known it can meet the
// need, now or, for a token, soon. What it holds itself to is its own knowledge.
func (n *need) metBy(m *Member, leader topology.NodeID) bool {
	switch {
	case m.Addr == "" || m.Role == topology.RoleFailed || m.Role == topology.RoleWitness || m.Role == topology.RoleRemoved:
		return false
	case n.any:
		return true
	case m.ID == leader:
		return true
	case m.Role == topology.RoleCandidate: // it knows no leader to hold itself against
		return false
	case n.newest && m.Delay > 0, n.maxStale > 0 && m.Delay > n.maxStale:
		return false
	case n.maxStale > 0 && m.Heard.IsZero(), n.maxStale > 0 && (m.Stale < 0 || m.Stale > n.maxStale):
		return false
	case n.maxLag > 0 && (m.Heard.IsZero() || m.Lag.Records > n.maxLag):
		return false
	case n.maxBytes > 0 && (m.Heard.IsZero() || m.Lag.Bytes > n.maxBytes):
		return false
	case !n.after.IsZero() && m.Delay > 0:
		return m.Applied >= n.after.LSN
	}
	return true
}

// order sorts the nodes that may answer by a route.
func order(c choice, fit []Member) {
	near := func(a, b Member) int {
		return cmp.Or(compareBool(a.RoundTrip == 0, b.RoundTrip == 0), cmp.Compare(a.RoundTrip, b.RoundTrip))
	}
	lost := func(m Member) bool { return m.Heard.IsZero() || m.Role == topology.RoleCandidate } // its lag says nothing
	behind := func(a, b Member) int {
		return cmp.Or(compareBool(lost(a), lost(b)),
			cmp.Compare(a.Lag.Records, b.Lag.Records), cmp.Compare(a.Lag.Time, b.Lag.Time), near(a, b))
	}
	leads := func(a, b Member) int { return compareBool(a.ID == c.leader, b.ID == c.leader) }
	switch c.route {
	case RouteRoundRobin:
		if len(fit) > 0 {
			at := int(c.turn % uint64(len(fit)))
			copy(fit, slices.Concat(fit[at:], fit[:at]))
		}
	case RouteLeastLag:
		slices.SortStableFunc(fit, func(a, b Member) int { return cmp.Or(leads(a, b), behind(a, b)) })
	case RouteNearest:
		slices.SortStableFunc(fit, near)
	case RouteSticky:
		stuck := func(a, b Member) int { return compareBool(a.ID != c.stuck, b.ID != c.stuck) }
		slices.SortStableFunc(fit, func(a, b Member) int { return cmp.Or(stuck(a, b), near(a, b)) })
	default:
		slices.SortStableFunc(fit, func(a, b Member) int { return cmp.Or(-leads(a, b), behind(a, b)) })
	}
}

// compareBool puts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
