package core_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// host is a site of one node: a core, the log it keeps, and the store it applies
// the log to. Entries beyond the core's commit are lost in a crash.
type host struct {
	name    core.Site
	cfg     core.Config
	core    *core.Core
	wall    time.Time
	log     []core.Item
	store   map[string]record.State
	applied version.Vector
	done    record.LSN
	lost    []record.Version // lost to concurrent versions, in order
	acked   []version.Dot    // what was answered as applied
	waiting []version.Dot
	asked   bool // a new incarnation
	full    bool // the disk
	net     *network

	in    core.Incoming // what the applied log comes to of a snapshot
	over  bool          // one is in its place, and the core is to be told
	snaps snapshots
}

// network holds what sites have sent and nobody has received. A session is
// carried by both ends of a link.
type network struct {
	hosts    []*host
	session  uint64                  // the newest
	sessions map[[2]core.Site]uint64 // by link, its ends in the order of their names
	queues   map[[2]core.Site][]packet
	say      func(format string, args ...any)
}

type packet struct {
	session uint64
	message core.Message
}

func newNetwork() *network {
	return &network{queues: map[[2]core.Site][]packet{}, sessions: map[[2]core.Site]uint64{}, say: func(string, ...any) {}}
}

func (n *network) host(name core.Site) *host {
	i := slices.IndexFunc(n.hosts, func(h *host) bool { return h.name == name })
	return n.hosts[i]
}

// start makes a site's core from what its log holds.
func (h *host) start() {
	var p core.Position
	h.in, h.over, h.snaps.staged, h.snaps.installs = core.Incoming{}, false, map[string]record.State{}, 0
	h.snaps.served = map[core.Site]*servedView{}
	h.store, h.applied, h.done, h.lost = map[string]record.State{}, nil, 0, nil
	for i, it := range h.log {
		again, err := p.Add(it.Entry)
		if err != nil {
			panic(err)
		}
		h.log[i] = again
	}
	h.asked, h.waiting, h.core = false, nil, nil
	h.apply(p.LSN)
	h.core = core.New(h.cfg, p, h.in)
}

// crash loses what is not committed.
func (h *host) crash() {
	h.log = h.log[:h.core.Commit()]
	h.core = nil
	for pair := range h.net.queues {
		if pair[0] == h.name || pair[1] == h.name {
			delete(h.net.queues, pair)
		}
	}
}

func (h *host) step(ev core.Event) {
	if h.core == nil {
		return
	}
	ev.Now = h.wall
	effects := slices.Clone(h.core.Step(ev))
	for _, e := range effects {
		h.perform(e)
	}
	if h.over && h.core != nil {
		h.over = false
		h.step(core.Event{Kind: core.EvSettle, Over: true})
	}
}

func (h *host) perform(e core.Effect) {
	say := h.net.say
	switch e.Kind {
	case core.DoAppend:
		if e.LSN != record.LSN(len(h.log))+1 {
			return // behind what was not appended
		}
		if h.full {
			say("%s has no room for %s\n", h.name, describe(e.Item))
			h.step(core.Event{Kind: core.EvNotAppended, LSN: record.LSN(len(h.log))})
			return
		}
		h.log = append(h.log, e.Item)
		say("%s appends %s\n", h.name, describe(e.Item))
	case core.DoAccept:
		if e.LSN > record.LSN(len(h.log)) {
			return
		}
		h.waiting = append(h.waiting, e.Item.Dot)
	case core.DoRefuse:
		say("%s refuses: %v\n", h.name, e.Err)
	case core.DoCommit:
		h.apply(e.LSN)
	case core.DoSend:
		h.onlyCommitted(e.Message)
		pair := [2]core.Site{h.name, e.Peer}
		h.net.queues[pair] = append(h.net.queues[pair], packet{e.Session, e.Message})
		if e.Message.Kind != core.MsgBeat {
			say("%s to %s: %s\n", h.name, e.Peer, talk(e.Message))
		}
	case core.DoRead:
		from, ok := h.readable(e)
		if !ok {
			h.gone(e, e.LSN)
			return
		}
		var items []core.Item
		for lsn := from; lsn <= e.To && len(items) < e.N; lsn++ {
			items = append(items, h.log[lsn-1])
		}
		h.step(core.Event{Kind: core.EvRead, Peer: e.Peer, Session: e.Session, LSN: e.LSN, To: from, Items: items})
	case core.DoFill:
		items, ok := h.fill(e)
		if !ok {
			h.gone(e, 0)
			return
		}
		h.step(core.Event{Kind: core.EvRead, Peer: e.Peer, Session: e.Session, Items: items})
	case core.DoServe:
		h.serve(e)
	case core.DoFreeze:
		say("%s freezes the link to %s: %v\n", h.name, e.Peer, e.Err)
	case core.DoAlarm:
		say("%s alarms: %v\n", h.name, e.Err)
	case core.DoIncarnate:
		h.asked = true
		say("%s asks for a new incarnation\n", h.name)
	}
}

// onlyCommitted holds that nothing leaves the site, nor is shown as there, before
// it is committed (M1, C2a).
func (h *host) onlyCommitted(m core.Message) {
	var p core.Position
	for _, it := range h.log[:h.core.Commit()] {
		if _, err := p.Add(it.Entry); err != nil {
			panic(err)
		}
	}
	if m.Kind == core.MsgBeat && !slices.Equal(m.Marks, p.Marks) {
		panic(fmt.Sprintf("%s shows %v, and %v is committed", h.name, m.Marks, p.Marks))
	}
	for _, it := range m.Items {
		if it.Entry.LSN > h.core.Commit() {
			panic(fmt.Sprintf("%s sends %v, which is not committed", h.name, it.Dot))
		}
	}
}

// apply makes visible what is committed up to lsn.
func (h *host) apply(lsn record.LSN) {
	for h.done < lsn {
		it := h.log[h.done]
		r, err := it.Entry.Record()
		if err != nil {
			panic(err)
		}
		var changes []conflict.Change
		if !r.IsNote() {
			changes, err = core.Apply(&r, func(record.TableID) conflict.Resolver { return conflict.LWW() }, h.applied, cells(h.store))
		}
		if err != nil {
			panic(err)
		}
		for _, c := range changes {
			h.store[string(c.Cell.Key)] = c.State
			for _, v := range c.Lost {
				h.lost = append(h.lost, v)
				h.net.say("%s: %s loses %s\n", h.name, c.Cell.Key, v.Dot)
			}
		}
		if r.IsNote() {
			h.note(it.Entry, &r)
		} else {
			h.applied = h.applied.With(it.Dot.Origin, it.Dot.Seq)
		}
		if len(h.waiting) > 0 && h.waiting[0] == it.Dot {
			h.acked, h.waiting = append(h.acked, it.Dot), h.waiting[1:]
		}
		h.done++
	}
}

// commit makes everything in the log committed.
func (h *host) commit() {
	if h.core != nil {
		h.step(core.Event{Kind: core.EvCommitted, LSN: h.core.End()})
	}
}

func (h *host) put(key, value string) { h.batch([2]string{key, value}) }

// batch writes several keys as one; a value of nothing deletes.
func (h *host) batch(pairs ...[2]string) {
	var b record.Batch
	for _, p := range pairs {
		m := record.Mutation{Table: tableOf(p[0]), Op: record.OpPut, Key: []byte(p[0]), Value: []byte(p[1])}
		if p[1] == "" {
			m.Op = record.OpDelete
		}
		b.Mutations = append(b.Mutations, m)
	}
	h.step(core.Event{Kind: core.EvWrite, Writes: []record.Batch{b}})
}

// tableOf is the table of a key: of "p/a" table p, of one without a slash the default.
func tableOf(key string) record.TableID {
	if name, _, ok := strings.Cut(key, "/"); ok {
		return tableNamed(name)
	}
	return record.TableDefault
}

// tableNamed is the number of a table whose name is one letter.
func tableNamed(name string) record.TableID { return record.TableFirst + record.TableID(name[0]) }

func tableName(t record.TableID) string { return string(rune(t - record.TableFirst)) }

// get returns what a reader of the site finds.
func (h *host) get(key string) string {
	vs := h.store[key].Siblings
	if len(vs) == 0 || vs[0].Absent {
		return "nothing"
	}
	return string(vs[0].Value)
}

// up opens a session between two sites.
func (n *network) up(a, b core.Site) {
	n.session++
	n.sessions[ends(a, b)] = n.session
	for _, pair := range [][2]core.Site{{a, b}, {b, a}} {
		n.queues[pair] = nil
	}
	n.host(a).step(core.Event{Kind: core.EvLinkUp, Peer: b, Session: n.session})
	n.host(b).step(core.Event{Kind: core.EvLinkUp, Peer: a, Session: n.session})
}

func (n *network) down(a, b core.Site) {
	for _, pair := range [][2]core.Site{{a, b}, {b, a}} {
		n.queues[pair] = nil
		n.host(pair[0]).step(core.Event{Kind: core.EvLinkDown, Peer: pair[1], Session: n.sessions[ends(a, b)]})
	}
}

// ends are the two of a link, in the order of their names.
func ends(a, b core.Site) [2]core.Site { return [2]core.Site{min(a, b), max(a, b)} }

// deliver takes the i-th message from a to b off the network, or a copy of it.
func (n *network) deliver(a, b core.Site, i int, keep bool) bool {
	pair := [2]core.Site{a, b}
	q := n.queues[pair]
	if i >= len(q) {
		return false
	}
	p := q[i]
	if !keep {
		n.queues[pair] = slices.Delete(slices.Clone(q), i, i+1)
	}
	n.host(b).step(core.Event{Kind: core.EvMessage, Peer: a, Session: p.session, Message: &p.message})
	return true
}

// run delivers in order until nothing is on its way; sites commit at once.
func (n *network) run() {
	for busy := true; busy; {
		busy = false
		for _, a := range n.hosts {
			a.commit()
			for _, b := range n.hosts {
				for a != b && n.deliver(a.name, b.name, 0, false) {
					b.commit()
					busy = true
				}
			}
		}
	}
}

func (n *network) tick() {
	for _, h := range n.hosts {
		h.step(core.Event{Kind: core.EvTick})
	}
}

func describe(it core.Item) string {
	r, err := it.Entry.Record()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	if r.IsNote() {
		if text, ok := noteText(it, &r); ok {
			return text
		}
		o, _, err := core.NotedOrigin(&r)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("at %d a note: in term %d it writes as %v", it.Entry.LSN, r.Term, o)
	}
	fmt.Fprintf(&b, "%v at %d, time %s, deps %s:", r.Dot, it.Entry.LSN, clockText(r.Time), vectorText(r.Deps))
	for _, m := range r.Mutations {
		switch m.Op {
		case record.OpMark:
			fmt.Fprintf(&b, "%s", skipText(it.Skip))
		case record.OpDelete:
			fmt.Fprintf(&b, " delete %s", m.Key)
		default:
			fmt.Fprintf(&b, " %s=%s", m.Key, m.Value)
		}
	}
	return b.String()
}

func skipText(s *core.Skip) string {
	if s == nil {
		return " a mark"
	}
	var names []string
	for _, t := range s.Tables {
		names = append(names, tableName(t))
	}
	return " but what it wrote to " + strings.Join(names, ", ")
}

func talk(m core.Message) string {
	switch m.Kind {
	case core.MsgGone:
		return fmt.Sprintf("record %d of %v is gone", m.First, m.Origin)
	case core.MsgFetch:
		return fmt.Sprintf("goes on with a snapshot at %q", m.Body)
	case core.MsgPart:
		return fmt.Sprintf("gives the next of a snapshot: %v", len(m.Body) > 0)
	case core.MsgAsk:
		return fmt.Sprintf("give me %d to %d of %v", m.First, m.Last, m.Origin)
	case core.MsgShip:
		var dots []string
		for _, it := range m.Items {
			dot := it.Dot.String()
			if it.Skip != nil {
				dot += " (in part)"
			}
			dots = append(dots, dot)
		}
		if m.From == 0 {
			return "fills " + strings.Join(dots, " ")
		}
		return fmt.Sprintf("ships %s, from %d to before %d", strings.Join(dots, " "), m.From, m.Next)
	}
	return fmt.Sprintf("holds %s, goes on at %d", marksText(m.Marks), m.Next)
}

// epoch is when every story begins.
var epoch = time.UnixMilli(1_000_000)

func clockText(t version.Timestamp) string {
	return fmt.Sprintf("%d+%d", t.Time().Sub(epoch).Milliseconds(), t.Counter())
}

func vectorText(v version.Vector) string {
	var out []string
	for _, m := range v {
		out = append(out, fmt.Sprintf("%v:%d", m.Origin, m.Seq))
	}
	return "[" + strings.Join(out, " ") + "]"
}

func marksText(ms []core.Mark) string {
	var v version.Vector
	for _, m := range ms {
		v = append(v, version.Mark{Origin: m.Origin, Seq: m.Seq})
	}
	return vectorText(v)
}

// stateText is a store, as far as another site holds its tables, canonically: two sites
// that agree print the same.
func (h *host) stateText(other core.Site) string {
	keys := make([]string, 0, len(h.store))
	for k := range h.store {
		if h.cfg.Filters.Holds(other, tableOf(k)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var b []byte
	enc := record.NewEncoder()
	for _, k := range keys {
		s := h.store[k]
		b = enc.AppendState(append(append(b, k...), 0), &s)
	}
	return string(b)
}

// recount finds what the log's order made each cell lose, without Merge: a write
// that comes to a cell supersedes what its writer had seen, and one of the two is
// lost otherwise.
func (h *host) recount() int {
	if h.snaps.installs > 0 {
		return len(h.lost) // what a snapshot brought had met elsewhere
	}
	held, lost := map[string]record.Version{}, 0
	for _, it := range h.log[:h.done] {
		r, err := it.Entry.Record()
		if err != nil {
			panic(err)
		}
		for i := range r.Mutations {
			m := &r.Mutations[i]
			if r.IsNote() || m.Op == record.OpMark {
				continue
			}
			v := conflict.VersionOf(&r, m)
			was, ok := held[string(m.Key)]
			if ok && !core.Covers(&r).Has(was.Dot) {
				lost++
			}
			if !ok || conflict.Compare(v, was) > 0 {
				held[string(m.Key)] = v
			}
		}
	}
	return lost
}

// cells is a store of keys without fields.
type cells map[string]record.State

func (s cells) Cell(c record.Cell) (record.State, error) { return s[string(c.Key)], nil }

func (cells) Fields(record.TableID, []byte) ([][]byte, error) { return nil, nil }
