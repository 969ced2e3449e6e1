package sites

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// served is the snapshot that a peer takes, by parts.
type served struct {
	id    uint64
	store *state
	cells []record.Mutation
	used  time.Duration
}

// servedFor is for how long the log is kept from where a snapshot goes on.
const servedFor = 3 * time.Second

// supply is what a reign reads for its peers.
type supply struct{ *reign }

// read reads for a peer.
func (g supply) read(e *core.Effect) {
	if !g.live() || g.core == nil {
		return
	}
	p := g.p
	ev := core.Event{Kind: core.EvRead, Peer: e.Peer, Session: e.Session, LSN: e.LSN}
	ok := true
	switch e.Kind {
	case core.DoRead:
		ev.Items, ev.To, ok = g.part(e)
	case core.DoFill:
		p.s.Reach("a gap was filled")
		ev.Items, ok = g.gap(e)
	case core.DoServe:
		ev.Kind, ev.Message = core.EvServed, g.serve(e)
	}
	if !ok {
		p.s.Reach("a log did not hold what a peer lacked")
		ev.Kind, ev.Origin, ev.First, ev.Last = core.EvGone, e.Origin, e.First, e.Last
	}
	g.step(ev)
}

// part reads what comes next. What the peer has of it is passed over, where the log does
// not hold it any more.
func (g supply) part(e *core.Effect) (items []core.Item, from record.LSN, ok bool) {
	p := g.p
	if from = e.LSN; from < p.first {
		at := p.store.before(e.To, func(q *core.Position) bool {
			return !slices.ContainsFunc(q.Marks, func(m core.Mark) bool {
				return (e.Relay || m.ID == g.core.Origin.ID) && e.Has.Get(m.Origin) < m.Seq
			})
		})
		if has := at.LSN+1 >= p.first && at.LSN > 0 && hasAll(g.core.Origin.ID, e, &at); !has {
			return nil, 0, false
		}
		from = at.LSN + 1
	}
	for lsn := from; lsn <= e.To && len(items) < e.N; lsn++ {
		items = append(items, *p.item(lsn))
	}
	return items, from, true
}

func hasAll(own uint32, e *core.Effect, at *core.Position) bool {
	for _, m := range at.Marks {
		if (e.Relay || m.ID == own) && e.Has.Get(m.Origin) < m.Seq {
			return false
		}
	}
	return true
}

// gap reads the records of one origin.
func (g supply) gap(e *core.Effect) (items []core.Item, ok bool) {
	p := g.p
	for seq := e.First; seq <= e.Last; seq++ {
		at := p.index[version.Dot{Origin: e.Origin, Seq: seq}]
		if at == 0 {
			break
		}
		items = append(items, *p.item(at))
	}
	return items, len(items) > 0
}

// serve answers a peer that takes a snapshot.
func (g supply) serve(e *core.Effect) *core.Message {
	p := g.p
	m := &core.Message{Kind: core.MsgPart, First: e.First}
	v := g.served[e.Peer]
	var r record.Record
	switch {
	case e.First == 0:
		p.w.snapshots++
		v = &served{id: p.w.snapshots, store: p.store.clone()}
		v.cells = v.store.cells()
		g.served[e.Peer] = v
		r = core.Begin(v.id, p.n.site.name, v.store.pos.Time, v.store.pos.Marks)
		p.s.Reach("a snapshot was begun")
	case v == nil || v.id != e.First:
		p.s.Reach("a snapshot was not kept any more")
		return m
	default:
		at, _ := strconv.Atoi(string(e.At))
		next := min(at+p.w.c.log.part, len(v.cells))
		r = core.Part(v.id, p.n.site.name, e.At, []byte(strconv.Itoa(next)), next == len(v.cells), v.cells[min(at, next):next])
	}
	v.used = p.s.Now()
	b := record.NewEncoder().Append(nil, &r)
	m.First, m.Body = v.id, record.AppendEntry(nil, record.Entry{Sum: record.Sum(b), Bytes: b})
	return m
}

// cells are all of a store that a peer takes, and what sites have said.
func (x *state) cells() (ms []record.Mutation) {
	enc := record.NewEncoder()
	for _, o := range slices.SortedFunc(maps.Keys(x.cuts), version.Origin.Compare) {
		c := x.cuts[o]
		s := record.State{Siblings: []record.Version{{Dot: version.Dot{Origin: o, Seq: 1}, Time: c.cut.Time, Kind: record.KindBytes, Value: c.raw}}}
		ms = append(ms, record.Mutation{Op: record.OpState, Table: record.TableOrigins, Key: keyOfSaid(o), Value: enc.AppendState(nil, &s)})
	}
	for _, k := range sortedKeys(x.keys) {
		for _, f := range slices.Sorted(maps.Keys(x.keys[k])) {
			s := x.keys[k][f]
			ms = append(ms, record.Mutation{Op: record.OpState, Table: k.table, Key: []byte(k.key), Field: []byte(f), Value: enc.AppendState(nil, &s)})
		}
	}
	return ms
}

// needs returns the first entry of the log that is not let go, for who takes a snapshot
// and goes on from there, and for nodes of the site.
func (g *reign) needs(to record.LSN) record.LSN {
	for i := range g.others {
		if q := &g.others[i]; q.n.live() != nil && q.match > 0 {
			to = min(to, q.match+1)
		}
	}
	for _, t := range g.p.w.sites {
		if v := g.served[t.name]; v != nil && g.p.s.Now()-v.used < servedFor {
			to = min(to, v.store.pos.LSN+1)
		}
	}
	return to
}

func errOf(err error, why string) error { return fmt.Errorf("%w: %s", err, why) }

var errAway = errOf(topology.ErrUnavailable, "nobody leads the site")
