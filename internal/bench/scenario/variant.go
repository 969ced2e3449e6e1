package scenario

import (
	"fmt"
	"strings"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Variant is one subject as it is run: one of each list.
type Variant struct {
	Name       string
	Of         string // the subject's name in the file
	Topology   Topology
	Sync       quorum.Policy
	Durability topology.Durability
	Read       Level
	Conflicts  Policy
	W, R       int
	Copies     int // of every key, where nobody leads
	Via        Via
	Subject    Subject
}

// Variants returns every subject that is run, in the order of the file.
func (s *Scenario) Variants() (all []Variant) {
	for _, x := range s.Subjects {
		all = append(all, x.variants(min(len(s.Sites)*s.Nodes, CopiesMax))...)
	}
	return all
}

func (x Subject) variants(copies int) (all []Variant) {
	for _, sync := range x.Sync {
		for _, d := range x.Durability {
			for _, read := range x.Read {
				for _, c := range x.Conflicts {
					for _, w := range x.W {
						for _, r := range x.R {
							all = append(all, x.asked(Variant{
								Of: x.Name, Topology: x.Topology, Sync: sync.Policy, Durability: topology.Durability(d),
								Read: read, Conflicts: c, W: int(w), R: int(r), Copies: copies, Subject: x,
							})...)
						}
					}
				}
			}
		}
	}
	return all
}

// asked are a variant by each way of asking it.
func (x Subject) asked(v Variant) (all []Variant) {
	for _, v.Via = range x.Via {
		v.Name = x.nameOf(v)
		all = append(all, v)
	}
	return all
}

// nameOf is the subject's name and what its lists vary.
func (x Subject) nameOf(v Variant) string {
	words := []string{x.Name}
	add := func(varies bool, what any) {
		if varies {
			words = append(words, fmt.Sprint(what))
		}
	}
	add(len(x.Sync) > 1, v.Sync)
	add(len(x.Durability) > 1, v.Durability)
	add(len(x.Read) > 1, v.Read)
	add(len(x.Conflicts) > 1, v.Conflicts)
	add(len(x.W) > 1, fmt.Sprintf("w%d", v.W))
	add(len(x.R) > 1, fmt.Sprintf("r%d", v.R))
	add(len(x.Via) > 1, v.Via)
	return strings.Join(words, " ")
}

// Merges reports whether what several wrote at once all counts, by the types that tables
// hold.
func (v Variant) Merges() bool { return v.Topology != SingleLeader && v.Conflicts == PolicyCRD }

// Siblings reports whether what several wrote at once is kept until a client has brought
// it together.
func (v Variant) Siblings() bool { return v.Topology != SingleLeader && v.Conflicts == PolicySiblings }

// Scattered reports whether several nodes take writes at once.
func (v Variant) Scattered() bool { return v.Topology != SingleLeader }

// Promise says in words what the subject promises of a write that was acknowledged.
func (v Variant) Promise() string {
	d := v.Durability.String()
	switch v.Topology {
	case MultiLeader:
		return fmt.Sprintf("%s at its site (%v), elsewhere later; %s", d, v.Sync, v.settled())
	case Leaderless:
		reads := "reads find it, or what came later"
		if !v.meet() {
			reads = "reads may miss it for a while"
		}
		return fmt.Sprintf("%s on %d of %d copies, reads ask %d; %s; %s", d, v.W, v.Copies, v.R, reads, v.settled())
	}
	if v.Sync.Kind == quorum.KindAsync {
		return d + " on the leader; an election may lose the newest"
	}
	return fmt.Sprintf("%s on the leader and on %v of the others; no election loses it", d, v.Sync)
}

// settled says what becomes of two writes that did not know of one another.
func (v Variant) settled() string {
	switch {
	case v.Merges():
		return "concurrent changes are merged"
	case v.Siblings():
		return "concurrent writes are both kept until a client has seen both"
	}
	return "the later of two concurrent writes stays"
}

// Durable is on how many disks a write is when it is acknowledged, of so many nodes where
// one leads, or of a site's where several do.
func (v Variant) Durable(nodes int) int {
	switch {
	case v.Durability == topology.Received:
		return 0
	case v.Topology == Leaderless:
		return v.W
	case v.Sync.Kind == quorum.KindAsync:
		return 1
	case v.Sync.Kind == quorum.KindAll:
		return nodes
	}
	return min(1+v.Sync.K, nodes)
}

// Forbids reports whether the promise forbids an anomaly to reads of a level; a
// fault that loses what was acknowledged may be allowed by it.
func (v Variant) Forbids(a Anomaly, l Level) bool {
	switch a {
	case OutOfNowhere, NeverTheSame:
		return true
	case LostWrites:
		return v.keeps() && v.commits()
	case LostUpdates:
		return v.keeps() && v.commits() && (!v.Scattered() || v.Merges())
	}
	switch v.Topology {
	case SingleLeader:
		// What an election of an asynchronous group lost may have been seen.
		session := a == OwnWrites || a == BackInTime || a == TornPrefix
		return v.keeps() && (session && l == LevelSession || l == LevelLinearizable && v.commits())
	case MultiLeader:
		return l == LevelSession && (a == OwnWrites || a == BackInTime || a == TornPrefix)
	}
	switch {
	case l == LevelSession:
		return a == OwnWrites
	case a == StaleReads || a == OwnWrites:
		return l == LevelAny && v.meet() // who reads meets who was written
	case a == BackInTime:
		return l == LevelAny && v.meet() && v.Subject.WriteBack
	}
	return false
}

// meet reports whether the replicas that a read asks meet those that a write waited for.
func (v Variant) meet() bool { return v.W+v.R > v.Copies }

// commits reports whether a write is acknowledged once it is committed, and not before:
// then whoever reads what is committed misses nothing acknowledged.
func (v Variant) commits() bool { return v.Durability != topology.Received }

// keeps reports whether no fault of this harness may lose what was acknowledged.
func (v Variant) keeps() bool {
	return v.Topology != SingleLeader || v.Sync.Kind != quorum.KindAsync
}
