package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// host is a node: a core, its log, and the store the log was applied to. What
// stands in the log beyond the core's Flushed is lost in a crash; the store is
// made anew from the rest.
type host struct {
	name     topology.NodeID
	cfg      core.Config
	core     *core.Core
	wall     time.Time
	log      []record.Entry
	store    map[string]record.State
	applied  core.Position
	lost     []record.Version
	op       uint64
	requests map[uint64]*request
	full     bool // the disk
	net      *network
}

// request is what a client waits for. It outlives the node it was sent to.
type request struct {
	name   string
	event  core.Event
	answer *core.Answer
	at     topology.NodeID // who coordinates it
	op     uint64
}

type network struct {
	place  *placement.Map // of the beginning
	newest *placement.Map
	hosts  []*host
	queues map[[2]topology.NodeID][]core.Message
	say    func(format string, args ...any)
	ended  func(*request) // after an answer
}

func newNetwork(place *placement.Map) *network {
	return &network{place: place, newest: place, queues: map[[2]topology.NodeID][]core.Message{}, say: func(string, ...any) {}, ended: func(*request) {}}
}

func (n *network) host(name topology.NodeID) *host {
	i := slices.IndexFunc(n.hosts, func(h *host) bool { return h.name == name })
	return n.hosts[i]
}

// add makes a node and starts it.
func (n *network) add(cfg core.Config) *host {
	h := &host{name: cfg.Self, cfg: cfg, wall: epoch, net: n}
	n.hosts = append(n.hosts, h)
	h.start()
	return h
}

// start makes a node's store and core from what its log holds.
func (h *host) start() {
	h.store, h.applied, h.lost, h.requests = map[string]record.State{}, core.Position{}, nil, map[uint64]*request{}
	h.apply(record.LSN(len(h.log)))
	var p core.Position
	for _, e := range h.log {
		if err := p.Add(e, h.net.place); err != nil {
			panic(err)
		}
	}
	h.core = core.New(h.cfg, p)
	h.core.Step(core.Event{Kind: core.EvAlive, Nodes: h.net.newest.Nodes()})
}

// crash loses what is not durable, and every request.
func (h *host) crash() {
	h.log = h.log[:h.core.Flushed]
	h.core = nil
	for pair := range h.net.queues {
		if pair[1] == h.name {
			delete(h.net.queues, pair)
		}
	}
}

func (h *host) step(ev core.Event) {
	if h.core == nil {
		return
	}
	ev.Now = h.wall
	for _, e := range slices.Clone(h.core.Step(ev)) {
		h.perform(e)
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
			say("%s has no room for %s\n", h.name, describe(e.Entry))
			h.step(core.Event{Kind: core.EvNotAppended, LSN: record.LSN(len(h.log)), Err: topology.ErrDiskFull})
			return
		}
		h.log = append(h.log, e.Entry)
		say("%s appends %s\n", h.name, describe(e.Entry))
	case core.DoApply:
		h.apply(e.LSN)
	case core.DoSend:
		pair := [2]topology.NodeID{h.name, e.Node}
		h.net.queues[pair] = append(h.net.queues[pair], e.Message)
		if e.Message.Kind != core.MsgSync {
			say("%s to %s: %s\n", h.name, e.Node, talk(e.Message))
		}
	case core.DoForward:
		say("%s passes the request on to %s\n", h.name, e.Node)
		r := h.requests[e.Op]
		delete(h.requests, e.Op)
		r.event.Forwarded = true
		h.net.host(e.Node).serve(r)
	case core.DoLook:
		applied := h.applied.At(h.net.place.Partition(e.Range.Key)).Clone()
		h.step(core.Event{Kind: core.EvLooked, Node: e.Node, Op: e.Op, Range: e.Range, Full: e.Full, Cells: h.held(&e.Range), Part: core.Part{Applied: applied}})
	case core.DoFill:
		h.fill(e)
	case core.DoAnswer:
		r := h.requests[e.Op]
		delete(h.requests, e.Op)
		if r != nil {
			r.answer = &e.Answer
			say("%s answers %s: %s\n", h.name, r.name, answerText(r))
			h.net.ended(r)
		}
	case core.DoPlace:
		say("%s learns map %d\n", h.name, e.Map.Epoch())
		h.learn(e.Map)
	case core.DoPut:
		if r := h.requests[e.Op]; r != nil {
			ev := r.event
			ev.Repair, ev.Context.Time = core.RepairNone, e.Time
			h.step(ev)
		}
	case core.DoAlarm:
		say("%s alarms: %v\n", h.name, e.Err)
	case core.DoIncarnate:
		say("%s asks for a new incarnation\n", h.name)
	}
}

func (h *host) fill(e core.Effect) {
	var found []record.Entry
	for _, entry := range h.log[:h.core.Flushed] {
		if r, err := entry.Record(); err == nil && len(found) < e.Most && slices.Contains(e.Dots, r.Dot) {
			found = append(found, entry)
		}
	}
	h.step(core.Event{Kind: core.EvFound, Node: e.Node, Op: e.Op, Entries: found})
}

// apply makes visible what is durable up to lsn.
func (h *host) apply(lsn record.LSN) {
	for _, e := range h.log[h.applied.LSN:lsn] {
		r, err := e.Record()
		if err != nil {
			panic(err)
		}
		if _, learnt, _ := core.Learnt(&r); learnt != nil {
			if err := h.applied.Add(e, h.net.place); err != nil {
				panic(err)
			}
			continue
		}
		set := h.applied.At(h.net.place.Partition(r.Mutations[0].Key))
		changes, err := core.ApplyTo(&r, set, func(c record.Cell) (record.State, error) { return h.store[cellName(c)], nil }, h.cfg.Keeps)
		if err != nil {
			panic(err)
		}
		for _, c := range changes {
			h.store[cellName(c.Cell)] = c.State
			for _, v := range c.Lost {
				h.lost = append(h.lost, v)
				h.net.say("%s: %s loses %s\n", h.name, cellName(c.Cell), v.Dot)
			}
		}
		if err := h.applied.Add(e, h.net.place); err != nil {
			panic(err)
		}
	}
}

// flush makes everything in the log durable.
func (h *host) flush() {
	if h.core != nil {
		h.step(core.Event{Kind: core.EvFlushed, LSN: h.core.End})
	}
}

// serve gives a client's request to this node.
func (h *host) serve(r *request) {
	if h.core == nil {
		return
	}
	h.op++
	r.at, r.op, r.event.Op = h.name, h.op, h.op
	h.requests[h.op] = r
	h.step(r.event)
}

// cellName is a key, or a key and a field with a dot between.
func cellName(c record.Cell) string {
	if len(c.Field) == 0 {
		return string(c.Key)
	}
	return string(c.Key) + "." + string(c.Field)
}

// held is what a node's store has of a range, and of the cell without a field.
func (h *host) held(r *topology.CellRange) (cells []core.Held) {
	for _, name := range slices.Sorted(maps.Keys(h.store)) {
		key, field, _ := strings.Cut(name, ".")
		if key == string(r.Key) && (field == "" || r.Whole || field == string(r.Field)) {
			cells = append(cells, core.Held{Cell: record.Cell{Table: r.Table, Key: r.Key, Field: []byte(field)}, State: h.store[name]})
		}
	}
	return cells
}

func putOf(name, key, value string, level quorum.Consistency, seen core.Context) *request {
	key, field, _ := strings.Cut(key, ".")
	m := record.Mutation{Table: record.TableDefault, Op: record.OpPut, Key: []byte(key), Field: []byte(field), Value: []byte(value)}
	if value == "" {
		m.Op = record.OpDelete
	}
	return &request{name: name, event: core.Event{Kind: core.EvPut, Mutations: []record.Mutation{m}, Level: level, Context: seen}}
}

func getOf(name, key string, level quorum.Consistency, repair core.Repair) *request {
	key, whole := strings.CutSuffix(key, ".all")
	at := topology.CellRange{Cell: record.Cell{Table: record.TableDefault, Key: []byte(key)}, Whole: whole}
	return &request{name: name, event: core.Event{Kind: core.EvGet, Range: at, Level: level, Repair: repair}}
}

// deliver takes the i-th message from a to b off the network, or a copy of it.
func (n *network) deliver(a, b topology.NodeID, i int, keep bool) bool {
	pair := [2]topology.NodeID{a, b}
	q := n.queues[pair]
	if i >= len(q) {
		return false
	}
	m := q[i]
	if m.Applied != nil {
		m.Applied = m.Applied.Clone()
	}
	if !keep {
		n.queues[pair] = slices.Delete(slices.Clone(q), i, i+1)
	}
	n.host(b).step(core.Event{Kind: core.EvMessage, Node: a, Message: &m})
	return true
}

// run delivers in order until nothing is on its way; disks are quick.
func (n *network) run() {
	for busy := true; busy; {
		busy = false
		for _, a := range n.hosts {
			a.flush()
			for _, b := range n.hosts {
				for n.deliver(a.name, b.name, 0, false) {
					b.flush()
					busy = true
				}
			}
		}
	}
}

// epoch is when every story begins.
var epoch = time.UnixMilli(1_000_000)

func clockText(t version.Timestamp) string {
	return fmt.Sprintf("%d+%d", t.Time().Sub(epoch).Milliseconds(), t.Counter())
}

func describe(e record.Entry) string {
	r, err := e.Record()
	if err != nil {
		return err.Error()
	}
	m := r.Mutations[0]
	if _, set, err := core.Learnt(&r); set != nil || err != nil {
		return fmt.Sprintf("at %d a note: it has all that %s come to", e.LSN, setText(set))
	}
	switch m.Op {
	case record.OpState:
		var s record.State
		if err := record.DecodeState(m.Value, &s); err != nil {
			return err.Error()
		}
		return fmt.Sprintf("at %d a note: %s holds %s", e.LSN, cellName(record.Cell{Key: m.Key, Field: m.Field}), stateText(s))
	case record.OpDelete:
		return fmt.Sprintf("%v at %d, time %s, having seen %s: delete %s", r.Dot, e.LSN, clockText(r.Time), setText(r.Context), cellName(record.Cell{Key: m.Key, Field: m.Field}))
	}
	return fmt.Sprintf("%v at %d, time %s, having seen %s: %s=%s", r.Dot, e.LSN, clockText(r.Time), setText(r.Context), cellName(record.Cell{Key: m.Key, Field: m.Field}), m.Value)
}

func talk(m core.Message) string {
	switch m.Kind {
	case core.MsgRecord:
		r, err := m.Entry.Record()
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("take %v", r.Dot)
	case core.MsgState:
		return fmt.Sprintf("take what I hold of %s: %s", m.Range.Key, cellsText(m.Cells))
	case core.MsgAck:
		return "it is durable here"
	case core.MsgNack:
		return fmt.Sprintf("no: %v", m.Err)
	case core.MsgAsk:
		if m.Full {
			return fmt.Sprintf("give me %s", m.Range.Key)
		}
		return fmt.Sprintf("which %s do you hold?", m.Range.Key)
	case core.MsgFound:
		if m.Full {
			return "the value is " + cellsText(m.Cells)
		}
		return "I hold " + cellsText(m.Cells)
	}
	if m.Kind == core.MsgMap && len(m.Delta) > 0 {
		return fmt.Sprintf("there is map %d", m.Epoch)
	}
	if m.Kind == core.MsgMap {
		return fmt.Sprintf("what is newer than map %d?", m.Epoch)
	}
	return fmt.Sprintf("message %d", m.Kind)
}

// cellsText is what a key holds: of the cell without a field, its version alone.
func cellsText(cells []core.Held) string {
	var out []string
	for _, h := range cells {
		if text := stateText(h.State); len(h.Field) > 0 {
			out = append(out, string(h.Field)+": "+text)
		} else {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, "; ")
}

func stateText(s record.State) string {
	if len(s.Siblings) == 0 {
		return "nothing"
	}
	var all []string
	for _, v := range s.Siblings {
		all = append(all, versionText(v))
	}
	return strings.Join(all, " | ")
}

func versionText(v record.Version) string {
	switch {
	case v.Absent:
		return fmt.Sprintf("%v, a delete", v.Dot)
	case len(v.Value) == 0:
		return v.Dot.String()
	}
	return fmt.Sprintf("%v, %s", v.Dot, v.Value)
}

func setText(s *version.Set) string {
	if s.IsEmpty() {
		return "nothing"
	}
	var out []string
	for _, m := range s.Prefix {
		out = append(out, fmt.Sprintf("%v:1-%d", m.Origin, m.Seq))
	}
	for _, d := range s.Dots {
		out = append(out, d.String())
	}
	return strings.Join(out, " ")
}

func answerText(r *request) string {
	a := r.answer
	if a.Err != nil {
		return a.Err.Error()
	}
	if r.event.Kind == core.EvPut {
		return fmt.Sprintf("%v is applied, on %d replicas", a.Dot, a.Stands)
	}
	return cellsText(a.Cells)
}

// wins returns the version a state comes to.
func wins(s record.State) record.Version {
	if len(s.Siblings) == 0 {
		return record.Version{}
	}
	return s.Siblings[0]
}

// recount finds what the log's order made each key lose, without Merge. Where all is kept
// nothing is.
func (h *host) recount() int {
	if h.cfg.Keeps != nil {
		return 0
	}
	held, seen, lost := map[string]record.Version{}, map[string]*version.Set{}, 0
	for _, e := range h.log[:h.applied.LSN] {
		r, err := e.Record()
		if err != nil {
			panic(err)
		}
		if _, learnt, _ := core.Learnt(&r); learnt != nil {
			continue
		}
		m := &r.Mutations[0]
		key := cellName(record.Cell{Key: m.Key, Field: m.Field})
		if seen[key] == nil {
			seen[key] = &version.Set{}
		}
		was, ok := held[key]
		if r.IsNote() {
			var s record.State
			if err := record.DecodeState(m.Value, &s); err != nil {
				panic(err)
			}
			seen[key].Union(s.Context)
			for _, v := range s.Siblings {
				if !ok || conflict.Compare(v, was) > 0 {
					held[key] = v
				}
				seen[key].Add(v.Dot)
			}
			continue
		}
		v := conflict.VersionOf(&r, m)
		fresh := !seen[key].Has(v.Dot)
		seen[key].Union(r.Context)
		seen[key].Add(v.Dot)
		switch {
		case !fresh:
		case !ok:
			held[key] = v
		case r.Context.Has(was.Dot):
			held[key] = v
		default:
			lost++
			if conflict.Compare(v, was) > 0 {
				held[key] = v
			}
		}
	}
	return lost
}
