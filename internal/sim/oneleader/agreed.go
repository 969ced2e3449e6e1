package oneleader

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/singleleader/core"
)

// agreed is the control of a group whose nodes agree: a machine that can be cut
// off and be down, and forgets nothing. That control backends keep their contract
// is another test's; here it is what may become of questions and answers.
type agreed struct {
	w       *cluster
	m       *sim.Machine
	version uint64
	body    []byte
	done    map[int]answered // what was answered to a question, which may come twice
	asked   int
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
				a.w.ledger.swapped(&g)
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
