package call

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// MethodMembers asks a node for its cluster: nothing → Members.
const MethodMembers = "client.members"

const memberFields = 12

// Members is a cluster as one of its nodes sees it: fields self, leader, term, all.
// What a node says of itself it knows; of others it knows their addresses and,
// where it leads, how far behind they are.
type Members struct {
	Self   topology.NodeID
	Leader topology.NodeID // empty if not known
	Term   uint64
	All    []Member // self included
	Apart  bool     // every site has a leader of its own: Leader is that of self's site
}

// Member is one node of a cluster.
type Member struct {
	ID       topology.NodeID
	Addr     string // of its peers port, as the nodes name it; empty if not known
	Site     string
	Liveness topology.Liveness
	Role     topology.Role // empty if not known
	State    string        // of what the leader sends it: those of topology.PeerStatus; else empty
	Applied  record.LSN    // visible there
	Lag      topology.Lag  // behind the leader
	Stale    time.Duration // upper bound on how old what it shows may be; 0 on the leader, -1 if not known
	Delay    time.Duration // by which it applies late, on purpose
}

// Encode returns the answer's bytes: of format 2 where every site has a leader.
func (m *Members) Encode() []byte {
	w := begin(4)
	if m.Apart {
		w = beginAs(formatMore, 4)
	}
	w.Str(string(m.Self))
	w.Str(string(m.Leader))
	w.Uint(m.Term)
	all := m.All[:min(len(m.All), nodesMax)]
	w.Array(memberFields * len(all))
	for i := range all {
		n := &all[i]
		w.Str(string(n.ID))
		w.Str(text(n.Addr))
		w.Str(n.Site)
		w.Uint(uint64(n.Liveness))
		w.Str(string(n.Role))
		w.Str(n.State)
		w.Uint(uint64(n.Applied))
		putLag(w, n.Lag)
		w.Int(int64(n.Stale))
		w.Int(int64(n.Delay))
	}
	return w.Bytes()
}

// DecodeMembers reads an answer.
func DecodeMembers(b []byte) (Members, error) {
	r, f, err := openTo(formatMore, b, 4)
	if err != nil {
		return Members{}, err
	}
	m := Members{
		Apart: f == formatMore,
		Self:  topology.NodeID(r.StrMax(nameBytesMax)), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Term: r.Uint(),
	}
	n := r.ArrayMax(memberFields * nodesMax)
	if n%memberFields != 0 {
		r.Fail("members are not whole")
	}
	for n /= memberFields; n > 0 && r.Err() == nil; n-- {
		m.All = append(m.All, getMember(&r))
	}
	return m, done(&r)
}

func getMember(r *pack.Reader) Member {
	return Member{
		ID: topology.NodeID(r.StrMax(nameBytesMax)), Addr: r.StrMax(textBytesMax), Site: r.StrMax(nameBytesMax),
		Liveness: topology.Liveness(r.UintMax(255)), Role: topology.Role(r.StrMax(nameBytesMax)), State: r.StrMax(nameBytesMax),
		Applied: record.LSN(r.Uint()), Lag: getLag(r), Stale: time.Duration(r.Int()), Delay: time.Duration(r.Int()),
	}
}
