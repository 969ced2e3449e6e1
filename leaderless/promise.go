package leaderless

import (
	"fmt"
	"strings"
	"sync"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// promises are what reads of a level find, where writes are done at the level of the
// options (rule L2). They are kept once they have been found out.
type promises struct {
	o     *Options
	place func() *placement.Map

	mu    sync.Mutex // a leaf
	known map[promised]promise
}

// promised is what a promise is about.
type promised struct {
	epoch     uint64
	partition int
	level     quorum.Consistency
}

// promise says what reads meet.
type promise struct {
	all  bool // every write, from whatever site it was asked
	site bool // every write asked from the same site
	err  error
}

func newPromises(o *Options, place func() *placement.Map) *promises {
	return &promises{o: o, place: place, known: map[promised]promise{}}
}

// Check says what is wrong with options for these members, without opening anything.
func (o Options) Check(members []topology.Member) error {
	o, err := o.withDefaults(len(members))
	if err != nil {
		return err
	}
	place, err := o.place(topology.View{Members: members})
	if err != nil {
		return err
	}
	return newPromises(&o, func() *placement.Map { return place }).check()
}

const promisesMax = 1 << 14 // kept; then all are found out anew

// of returns what reads of a level meet at a partition.
func (p *promises) of(partition int, level quorum.Consistency) promise {
	place := p.place()
	if n := len(place.Replicas(partition)); !level.Sited() && !p.o.Write.Sited() {
		met := level.Needed(n)+p.o.Write.Needed(n) > n
		return promise{all: met, site: met}
	}
	at := promised{place.Epoch(), partition, level}
	p.mu.Lock()
	defer p.mu.Unlock()
	if x, ok := p.known[at]; ok {
		return x
	}
	if len(p.known) >= promisesMax {
		clear(p.known)
	}
	var x promise
	g, err := p.guaranteed(partition, level, core.RepairNone)
	x.err = err
	x.all, x.site = g.Holds&quorum.Fresh != 0, g.Holds&quorum.ReadsYours != 0
	p.known[at] = x
	return x
}

// guaranteed is what a table promises of one partition, in the words of quorum.
func (p *promises) guaranteed(partition int, level quorum.Consistency, repair core.Repair) (quorum.Guaranteed, error) {
	s := quorum.Setting[topology.NodeID]{Repair: repairs[repair], Order: quorum.OrderTime}
	if repair == core.RepairWriteBack {
		s.Order = quorum.OrderTag
	}
	var last error
	for _, site := range sitesOf(p.place()) {
		r, err := p.need(partition, level, site)
		if err == nil {
			var w quorum.Need[topology.NodeID]
			if w, err = p.need(partition, p.o.Write, site); err == nil {
				s.Reads, s.Writes = append(s.Reads, r), append(s.Writes, w)
			}
		}
		if err != nil {
			last = err // nobody asks from there
		}
	}
	if len(s.Reads) == 0 {
		return quorum.Guaranteed{}, fmt.Errorf("%w: %w", topology.ErrUnsupported, last)
	}
	return quorum.Guarantees(s)
}

var repairs = map[core.Repair]quorum.Repair{
	core.RepairNone: quorum.RepairNone, core.RepairAsync: quorum.RepairAsync, core.RepairBlocking: quorum.RepairBlocking, core.RepairWriteBack: quorum.RepairWriteBack,
}

// need is whom a request of a level needs, asked from a site.
func (p *promises) need(partition int, l quorum.Consistency, site string) (quorum.Need[topology.NodeID], error) {
	part := p.place().Part(partition)
	if !l.Sited() {
		replicas := part.Replicas()
		return quorum.CountNeed(l.Needed(len(replicas)), replicas)
	}
	return part.ReadNeed(l.Expr(), site)
}

// check refuses levels that mean nothing for these members, and write-back where it would
// not make a key linearizable.
func (p *promises) check() error {
	place := p.place()
	seen := map[string]bool{}
	for partition := range place.Partitions() {
		var as strings.Builder // partitions whose replicas stand in sites alike promise the same
		for _, id := range place.Replicas(partition) {
			n, _ := place.Node(id)
			fmt.Fprintf(&as, "%q ", n.Site)
		}
		if seen[as.String()] {
			continue
		}
		seen[as.String()] = true
		g, err := p.guaranteed(partition, p.o.Read, p.o.Repair)
		if err != nil {
			return fmt.Errorf("write %v, read %v: %w", p.o.Write, p.o.Read, err)
		}
		if p.o.Repair != core.RepairWriteBack || g.Holds&quorum.Linearizable != 0 {
			continue
		}
		for _, l := range g.Lines {
			if l.Promise == quorum.Fresh && !l.Holds {
				return fmt.Errorf("repair write-back is for keys that are to be linearizable, and with write %v, read %v reads are not fresh: %s", p.o.Write, p.o.Read, l.Says)
			}
		}
		return fmt.Errorf("repair write-back does not make keys linearizable with write %v, read %v", p.o.Write, p.o.Read)
	}
	return nil
}

// meets says what a read guarantees by the level it was done at, where writes are done at
// the level of the options. Several cells of one key are read together, and are no one
// copy that takes writes one by one.
func (p *promises) meets(partition int, a *readAsked, several bool) topology.Guarantee {
	x := p.of(partition, a.level)
	switch {
	case !a.token.IsZero():
		return topology.ReadSession
	case x.all && a.repair == core.RepairWriteBack && !several:
		return topology.ReadLinearizable
	case x.all && a.repair >= core.RepairBlocking && !a.level.Local():
		return topology.ReadMonotonic
	case x.all:
		return topology.ReadRegular
	case x.site:
		return topology.ReadSite
	}
	return topology.ReadAny
}
