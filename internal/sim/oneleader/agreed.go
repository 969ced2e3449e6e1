package oneleader

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
)

// agreed is the control of a group whose nodes agree: a machine that can be cut
// off and be down, and forgets nothing. That control backends keep their contract
// is another test's; here it is what may become of questions and answers.
type agreed struct {
	w        *cluster
	m        *sim.Machine
	version  uint64
	body     []byte
	done     map[int]answered // what was answered to a question, which may come twice
	asked    int
	document *core.Group // body, decoded
}

type answered struct {
	version uint64 // 0 for a conflict
}

func (w *cluster) addAgreed() {
	a := &agreed{w: w, done: map[int]answered{}}
	a.m = w.s.Machine("control", func() {}, func() { w.s.After(w.s.Lasting(50*time.Millisecond, 2*time.Second), a.m.Start) })
	w.agreed = a
}

// load tells p the document; known is false if no answer came.
func (a *agreed) load(p *process, then func(version uint64, body []byte, known bool)) {
	var version uint64
	var body []byte
	a.w.s.Net.Call(p.n.m, a.m, p.w.c.callTimeout, func(reply func([]byte)) {
		version, body = a.version, a.body
		reply([]byte{1})
	}, func(b []byte) { then(version, body, b != nil) })
}

// swap replaces the document if it has that version. now is the version of the
// new one, 0 for a conflict; known is false if no answer came.
func (a *agreed) swap(p *process, version uint64, g core.Group, then func(now uint64, known bool)) {
	a.asked++
	number, body := a.asked, g.Encode()
	var now uint64
	a.w.s.Net.Call(p.n.m, a.m, p.w.c.callTimeout, func(reply func([]byte)) {
		r, again := a.done[number]
		if !again {
			if version == a.version {
				a.version, a.body, r.version = version+1, body, version+1
				a.w.s.Note(string(p.n.id), "swaps", a.version, g.Term)
				a.swapped(&g)
				a.tell()
			}
			a.done[number] = r
		}
		now = r.version
		reply([]byte{1})
	}, func(b []byte) { then(now, b != nil) })
}

// tell sends the document to everybody, as a watch does: it may be lost.
func (a *agreed) tell() {
	version, body := a.version, a.body
	for _, n := range a.w.nodes {
		a.w.s.Net.Send(a.m, n.m, func() {
			if p := n.live(); p != nil {
				p.council.learn(version, body)
			}
		})
	}
}

// swapped: documents succeed one another by the rules, whoever writes them (S1, K1).
func (a *agreed) swapped(g *core.Group) {
	l, was := a.w.ledger, a.document
	a.document = g
	if was == nil {
		return
	}
	if g.Term < was.Term || g.Term == was.Term && (g.Leader != was.Leader || g.Life != was.Life) {
		l.s.Fail("S1", "the document of term %d, led by %s, was replaced by one of term %d, led by %s", was.Term, was.Leader, g.Term, g.Leader)
	}
	if g.Term > was.Term && g.Agreed.Why == core.Restored {
		f := g.Forks[len(g.Forks)-1]
		goesBack(l, f.At, f.Term)
	}
	if a.recruited(was, g); l.w.c.sync.Kind == quorum.KindAny {
		return // who counts is not who has everything
	}
	for _, c := range g.Agreed.InSync {
		if n := l.w.node(c.Node); n.life() == c.Life && !n.damaged && !n.repair {
			a.complete(n)
		}
	}
}

// complete holds who may be elected to what was committed (P6).
func (a *agreed) complete(n *node) {
	l := a.w.ledger
	lack := l.w.c.lag
	for lsn := max(n.durable.First, 1); lsn < record.LSN(len(l.log)); lsn++ {
		if at, ok := n.history.TermAt(lsn); !ok || at != l.log[lsn] || n.durable.Flushed < lsn {
			if lack > 0 {
				lack--
				continue
			}
			l.s.Fail("P6", "%s is in sync, and lacks entry %d of term %d, which is committed", n.id, lsn, l.log[lsn])
			return
		}
	}
}
