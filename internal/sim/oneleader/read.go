package oneleader

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var errCalm = errors.New("too few members confirmed that this node leads")

// reading is what waits of linearizable reads: one round under way at a time.
type reading struct {
	p     *process
	next  []func(record.LSN, error)
	asked []func(record.LSN, error)
	round uint64
	lsn   record.LSN
}

// index tells then what a linearizable read at the leader must see, confirmed.
func (r *reading) index(then func(record.LSN, error)) {
	r.next = append(r.next, then)
	r.ask()
}

func (r *reading) ask() {
	p := r.p
	if len(r.asked) > 0 || len(r.next) == 0 || p.dead {
		return
	}
	asked := r.next
	r.next = nil
	if p.core.Role != core.Leader {
		for _, then := range asked {
			then(0, topology.ErrNotLeader)
		}
		return
	}
	r.asked = asked
	effects := p.core.Step(core.Event{Kind: core.EvRead, At: mono(p)})
	r.round, r.lsn = p.core.Lead.Round, p.core.Commit
	p.perform(core.Event{Kind: core.EvRead}, effects, &answer{})
}

// answer releases the reads whose round has been answered.
func (r *reading) answer(round uint64) {
	p := r.p
	if len(r.asked) > 0 && r.round <= round {
		asked, lsn := r.asked, max(r.lsn, p.core.Lead.Start)
		r.asked = nil
		for _, then := range asked {
			then(lsn, nil)
		}
		p.after(0, func() { r.ask() })
	}
}

func (r *reading) stop() {
	for _, then := range append(r.asked, r.next...) {
		then(0, topology.ErrNotLeader)
	}
	r.asked, r.next = nil, nil
}

// read answers a linearizable read: the leader's by a round, or by its lease if that is
// enough, a follower's by asking the leader for the place to wait for.
func (r *reading) read(c record.Cell, leased bool, answer func(reply)) {
	p := r.p
	r.place(leased, func(lsn record.LSN, err error) {
		switch {
		case errors.Is(err, topology.ErrNotLeader) && p.group.Leader != p.n.id:
			r.askIndex(c, leased, answer)
		case err != nil:
			answer(reply{outcome: topology.NotApplied, err: err})
		default:
			r.readAt(c, lsn, answer)
		}
	})
}

func (r *reading) askIndex(c record.Cell, leased bool, answer func(reply)) {
	p := r.p
	if p.group.Leader == "" {
		answer(reply{outcome: topology.NotApplied, err: errCalm})
		return
	}
	to := p.w.node(p.group.Leader)
	var at record.LSN
	var of uint64 // the term of the entry there
	p.s.Net.Call(p.n.m, to.m, p.w.c.callTimeout, func(back func([]byte)) {
		if q := to.live(); q != nil {
			q.reading.place(leased, func(lsn record.LSN, err error) {
				if err == nil {
					at = lsn
					of, _ = q.termAt(lsn)
					back([]byte{1})
				}
			})
		}
	}, func(b []byte) {
		if b == nil {
			answer(reply{outcome: topology.NotApplied, err: fmt.Errorf("the leader %s: %w", to.id, errCalm)})
			return
		}
		p.applying.wait(p, at, func() {
			if own, known := p.termAt(at); known && own != of { // what it shows there is to be taken back
				p.s.Reach("a follower that shows another history did not answer")
				answer(reply{outcome: topology.NotApplied, err: errCalm})
				return
			}
			p.s.Reach("a follower answered a linearizable read")
			r.readAt(c, at, answer)
		})
	})
}

// readAt answers with what the store shows once it shows lsn.
func (r *reading) readAt(c record.Cell, lsn record.LSN, answer func(reply)) {
	p := r.p
	p.applying.wait(p, lsn, func() {
		b, err := p.store.Get(c)
		var v *record.Version
		if err == nil {
			v, err = core.Stored(b)
		}
		out := reply{lsn: p.store.Applied(), err: err}
		if v != nil {
			out.value, out.seen = string(v.Value), v.Dot
		}
		answer(out)
	})
}
