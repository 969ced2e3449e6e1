package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/triad-kv/triad/topology"
)

// judge decides whom the membership lets in, and notes who claims a name that
// another has. It implements serf.MergeDelegate.
//
// memberlist asks it under its own lock, for every message that somebody is
// alive: it knows no more than it was told, and calls nobody but the log.
type judge struct {
	self  topology.NodeID
	log   *slog.Logger
	now   func() time.Time
	grace time.Duration

	mu        sync.Mutex               // guards what follows; a leaf
	named     map[topology.NodeID]bool // by the configuration, and whom others took in
	cluster   clusterID
	seen      map[topology.NodeID]incumbent // whom serf knew when it was last asked
	strangers map[topology.NodeID]bool      // let in since the last count, or counted
	conflicts map[claim]*conflict
	disputed  bool // somebody still knows this node at another place
}

// incumbent is who has a name.
type incumbent struct {
	at    string
	life  uint64
	alive bool
}

// claim is a name asked for from another place.
type claim struct {
	id   topology.NodeID
	at   string
	life uint64
}

// conflict is what is known of a claim.
type conflict struct {
	first, last time.Time
	against     incumbent
	told        bool
}

var (
	errForeign   = errors.New("it is of a cluster with another id")
	errStrangers = fmt.Errorf("%d nodes that the configuration does not name are here already", StrangersMax)
)

func newJudge(env *Env, grace time.Duration) *judge {
	j := &judge{
		self: env.Self, log: env.Logger, now: time.Now, grace: grace,
		named: map[topology.NodeID]bool{}, seen: map[topology.NodeID]incumbent{},
		strangers: map[topology.NodeID]bool{}, conflicts: map[claim]*conflict{},
	}
	for _, m := range env.Members {
		j.named[m.ID] = true
	}
	return j
}

// NotifyMerge implements serf.MergeDelegate. serf calls it with one member for
// each message that one is alive, and with all that another node knows when it
// exchanges states; each of those comes alone afterwards. So a state is refused
// only where nobody in it belongs here: else one bad entry would keep its bearer out.
func (j *judge) NotifyMerge(ms []*serf.Member) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var last error
	for _, m := range ms {
		if last = j.judge(m, len(ms) == 1); last == nil {
			return nil
		}
	}
	return last
}

// judge decides on one member, and lets it in if it stands alone. The lock is held.
func (j *judge) judge(m *serf.Member, alone bool) error {
	id := topology.NodeID(m.Name)
	if !id.Valid() {
		return fmt.Errorf("%.80q is not a node's name", m.Name)
	}
	t, err := decodeTags(m.Tags)
	if err != nil {
		return err
	}
	if alone && !speaks(m) {
		return fmt.Errorf("it speaks gossip protocols %d to %d and %d to %d: upgrade the older one", m.ProtocolMin, m.ProtocolMax, m.DelegateMin, m.DelegateMax)
	}
	if j.cluster != (clusterID{}) && t.cluster != (clusterID{}) && t.cluster != j.cluster {
		return errForeign
	}
	if !alone {
		return nil
	}
	j.compare(claim{id: id, at: placeOf(m), life: t.life})
	if j.named[id] || j.strangers[id] {
		return nil
	}
	if len(j.strangers) >= StrangersMax {
		return errStrangers
	}
	j.strangers[id] = true
	return nil
}

// speaks reports whether a member understands this node and is understood.
// memberlist takes in one that does not, and then refuses the state of everybody
// who knows it.
func speaks(m *serf.Member) bool {
	mine := serf.ProtocolVersionMap[serfProtocol]
	return m.ProtocolMin <= mine && mine <= m.ProtocolMax &&
		memberlist.ProtocolVersionMin <= m.ProtocolCur && m.ProtocolCur <= memberlist.ProtocolVersionMax &&
		m.DelegateMin <= serfProtocol && serfProtocol <= m.DelegateMax &&
		serf.ProtocolVersionMin <= m.DelegateCur && m.DelegateCur <= serf.ProtocolVersionMax
}

func placeOf(m *serf.Member) string {
	return net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
}

// compare notes a claim to a name that another place has. memberlist keeps the
// incumbent, until it has failed or left. What a node of the same life did
// before it was started elsewhere is heard of for a while, and is no alarm yet.
func (j *judge) compare(c claim) {
	who, there := j.seen[c.id]
	if !there || !who.alive || who.at == c.at {
		return
	}
	if c.id == j.self {
		j.disputed = true
	}
	now := j.now()
	n := j.conflicts[c]
	if n == nil {
		if len(j.conflicts) >= conflictsMax {
			j.forget(now)
		}
		if len(j.conflicts) >= conflictsMax {
			return
		}
		n = &conflict{first: now}
		j.conflicts[c] = n
	}
	n.last, n.against = now, who
	if !n.told && n.alarming(c, j.grace) {
		n.told = true
		j.log.Warn("gossip: two processes claim the name of one node; the first one stays",
			"node", string(c.id), "stays", who.at, "life", fmt.Sprintf("%x", who.life),
			"other", c.at, "other_life", fmt.Sprintf("%x", c.life))
	}
}

func (n *conflict) alarming(c claim, grace time.Duration) bool {
	return c.life != n.against.life || n.last.Sub(n.first) > grace
}

// forget drops conflicts that were not heard of for long. The lock is held.
func (j *judge) forget(now time.Time) {
	maps.DeleteFunc(j.conflicts, func(_ claim, n *conflict) bool { return now.Sub(n.last) > conflictShown })
}

// admit names more members.
func (j *judge) admit(ms []topology.Member) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range ms {
		j.named[m.ID] = true
		delete(j.strangers, m.ID)
	}
}

// isNamed reports whether a node is a member.
func (j *judge) isNamed(id topology.NodeID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.named[id]
}

// warnings tells the conflicts.
func (j *judge) warnings() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget(j.now())
	var out []string
	for c, n := range j.conflicts {
		if n.told {
			out = append(out, fmt.Sprintf("gossip: node %s is at %s (life %x), and a process at %s (life %x) claims its name: stop one of them",
				c.id, n.against.at, n.against.life, c.at, c.life))
		}
	}
	slices.SortFunc(out, strings.Compare)
	return out
}

// learn tells whom serf knows now.
func (j *judge) learn(ms []serf.Member) {
	seen, strangers := map[topology.NodeID]incumbent{}, map[topology.NodeID]bool{}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range ms {
		m := &ms[i]
		t, err := decodeTags(m.Tags)
		if err != nil {
			continue
		}
		id := topology.NodeID(m.Name)
		seen[id] = incumbent{at: placeOf(m), life: t.life, alive: livenessOf(m.Status) == topology.LivenessAlive}
		if !j.named[id] {
			strangers[id] = true
		}
	}
	j.seen, j.strangers = seen, strangers
}

// setCluster tells the cluster's id.
func (j *judge) setCluster(id clusterID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cluster = id
}

// clusterID returns the cluster's id, zero if it is not known.
func (j *judge) clusterID() clusterID {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cluster
}

// takeDispute reports whether somebody knew this node at another place since it
// was last asked.
func (j *judge) takeDispute() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.disputed
	j.disputed = false
	return d
}

// ReconnectTimeout implements serf.ReconnectTimeoutOverrider: how long one that
// has failed is sought.
func (j *judge) ReconnectTimeout(m *serf.Member, _ time.Duration) time.Duration {
	if j.isNamed(topology.NodeID(m.Name)) {
		return reconnectFor
	}
	return strangerFor
}
