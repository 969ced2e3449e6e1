package call

import (
	"fmt"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Methods of who holds what, where nobody leads.
const (
	MethodRing       = "client.ring"       // nothing → Ring
	MethodRingPlan   = "client.ringplan"   // RingOrder → RingPlan
	MethodRingChange = "client.ringchange" // RingOrder → RingPlan
	MethodLocate     = "client.locate"     // Located → RingPlace
	MethodHandoff    = "client.handoff"    // nothing → Handoffs
)

const (
	ringNodesMax   = 1 << 10
	ringMovesMax   = 1<<16 + 1
	ringNodeFields = 5
	ringPartFields = ringNodeFields + 9
	ringMoveFields = 5
	ringLoadFields = ringNodeFields + 6
	handoffFields  = 7
)

func putRingNode(w *pack.Writer, n *topology.RingNode) {
	w.Str(string(n.ID))
	w.Str(n.Addr)
	w.Str(n.Site)
	w.Str(n.Rack)
	w.Uint(uint64(n.Weight))
}

func getRingNode(r *pack.Reader) topology.RingNode {
	return topology.RingNode{
		ID: topology.NodeID(r.StrMax(nameBytesMax)), Addr: r.StrMax(nameBytesMax), Site: r.StrMax(nameBytesMax), Rack: r.StrMax(nameBytesMax),
		Weight: uint32(r.UintMax(math.MaxUint32)),
	}
}

func putRingNodes(w *pack.Writer, ns []topology.RingNode) {
	w.Array(ringNodeFields * len(ns))
	for i := range ns {
		putRingNode(w, &ns[i])
	}
}

func getRingNodes(r *pack.Reader) (out []topology.RingNode) {
	for n := rows(r, ringNodeFields, ringNodesMax); n > 0 && r.Err() == nil; n-- {
		out = append(out, getRingNode(r))
	}
	return out
}

// rows reads the length of an array of so many fields each, and returns of how many.
func rows(r *pack.Reader, fields, most int) int {
	n := r.ArrayMax(fields * most)
	if n%fields != 0 {
		r.Fail("a list is not whole")
	}
	return n / fields
}

// RingOrder is a change of who holds what: fields add, remove, weigh, copies, cancel,
// epoch.
type RingOrder struct {
	Change topology.RingChange
	Epoch  uint64 // of the map that is to be changed; 0: whatever it is
}

// Encode returns its bytes.
func (o *RingOrder) Encode() []byte {
	w := begin(6)
	putRingNodes(w, o.Change.Add)
	putNodes(w, o.Change.Remove)
	putRingNodes(w, o.Change.Weigh)
	w.Uint(uint64(max(0, o.Change.Copies)))
	w.Bool(o.Change.Cancel)
	w.Uint(o.Epoch)
	return w.Bytes()
}

// DecodeRingOrder reads it.
func DecodeRingOrder(b []byte) (o RingOrder, err error) {
	r, err := open(b, 6)
	if err != nil {
		return o, err
	}
	o.Change = topology.RingChange{Add: getRingNodes(&r), Remove: getNodes(&r), Weigh: getRingNodes(&r), Copies: int(r.UintMax(math.MaxUint16)), Cancel: r.Bool()}
	o.Epoch = r.Uint()
	return o, done(&r)
}

// EncodeRing returns who holds what: epoch, partitions, copies, moving, nodes, moves,
// problem.
func EncodeRing(g topology.Ring) []byte {
	w := begin(7)
	w.Uint(g.Epoch)
	w.Uint(uint64(g.Partitions))
	w.Uint(uint64(g.Copies))
	w.Bool(g.Moving)
	w.Array(ringPartFields * len(g.Nodes))
	for i := range g.Nodes {
		p := &g.Nodes[i]
		putRingNode(w, &p.RingNode)
		w.Uint(uint64(p.First))
		w.Uint(uint64(p.Holds))
		w.Uint(math.Float64bits(p.Share))
		w.Uint(math.Float64bits(p.Even))
		w.Uint(uint64(p.Joins))
		w.Uint(uint64(p.Leaves))
		w.Bool(p.Reached)
		w.Uint(p.Epoch)
		w.Str(text(p.Filling))
	}
	putRingMoves(w, g.Moves)
	w.Str(text(g.Problem))
	return w.Bytes()
}

// DecodeRing reads it.
func DecodeRing(b []byte) (g topology.Ring, err error) {
	r, err := open(b, 7)
	if err != nil {
		return g, err
	}
	g = topology.Ring{Epoch: r.Uint(), Partitions: int(r.UintMax(math.MaxInt32)), Copies: int(r.UintMax(math.MaxInt32)), Moving: r.Bool()}
	for n := rows(&r, ringPartFields, ringNodesMax); n > 0 && r.Err() == nil; n-- {
		p := topology.RingPart{RingNode: getRingNode(&r), First: int(r.UintMax(math.MaxInt32)), Holds: int(r.UintMax(math.MaxInt32))}
		p.Share, p.Even = math.Float64frombits(r.Uint()), math.Float64frombits(r.Uint())
		p.Joins, p.Leaves = int(r.UintMax(math.MaxInt32)), int(r.UintMax(math.MaxInt32))
		p.Reached, p.Epoch, p.Filling = r.Bool(), r.Uint(), r.StrMax(textBytesMax)
		g.Nodes = append(g.Nodes, p)
	}
	g.Moves = getRingMoves(&r)
	g.Problem = r.StrMax(textBytesMax)
	return g, done(&r)
}

func putRingMoves(w *pack.Writer, ms []topology.RingMove) {
	w.Array(ringMoveFields * len(ms))
	for i := range ms {
		w.Uint(uint64(ms[i].Partition))
		w.Str(ms[i].Stage)
		putNodes(w, ms[i].Old)
		putNodes(w, ms[i].New)
		w.Str(text(ms[i].Waits))
	}
}

func getRingMoves(r *pack.Reader) (out []topology.RingMove) {
	for n := rows(r, ringMoveFields, ringMovesMax); n > 0 && r.Err() == nil; n-- {
		out = append(out, topology.RingMove{
			Partition: int(r.UintMax(math.MaxInt32)), Stage: r.StrMax(nameBytesMax), Old: getNodes(r), New: getNodes(r), Waits: r.StrMax(textBytesMax),
		})
	}
	return out
}

// EncodeRingPlan returns what a change would do: epoch, moves, loads.
func EncodeRingPlan(p topology.RingPlan) []byte {
	w := begin(3)
	w.Uint(p.Epoch)
	putRingMoves(w, p.Moves)
	w.Array(ringLoadFields * len(p.Loads))
	for i := range p.Loads {
		l := &p.Loads[i]
		putRingNode(w, &l.RingNode)
		for _, n := range []int{l.Before, l.After, l.Gains, l.Sheds} {
			w.Uint(uint64(max(0, n)))
		}
		w.Uint(l.Receives)
		w.Uint(l.Sends)
	}
	return w.Bytes()
}

// DecodeRingPlan reads it.
func DecodeRingPlan(b []byte) (p topology.RingPlan, err error) {
	r, err := open(b, 3)
	if err != nil {
		return p, err
	}
	p = topology.RingPlan{Epoch: r.Uint(), Moves: getRingMoves(&r)}
	for n := rows(&r, ringLoadFields, ringNodesMax); n > 0 && r.Err() == nil; n-- {
		l := topology.RingLoad{RingNode: getRingNode(&r)}
		for _, at := range []*int{&l.Before, &l.After, &l.Gains, &l.Sheds} {
			*at = int(r.UintMax(math.MaxInt32))
		}
		l.Receives, l.Sends = r.Uint(), r.Uint()
		p.Loads = append(p.Loads, l)
	}
	return p, done(&r)
}

// Located is a key that is asked about: fields table, key.
type Located struct {
	Table string
	Key   []byte
}

// Encode returns its bytes.
func (l *Located) Encode() []byte {
	w := begin(2)
	w.Str(l.Table)
	w.Bin(l.Key)
	return w.Bytes()
}

// DecodeLocated reads it.
func DecodeLocated(b []byte) (l Located, err error) {
	r, err := open(b, 2)
	if err != nil {
		return l, err
	}
	l = Located{Table: r.StrMax(TableBytesMax), Key: r.BinMax(record.KeyBytesMax)}
	if err := done(&r); err != nil {
		return l, err
	}
	return l, CheckKey(l.Key)
}

// EncodeRingPlace returns where a key lies: epoch, partition, stage, replicas, writers.
func EncodeRingPlace(p topology.RingPlace) []byte {
	w := begin(5)
	w.Uint(p.Epoch)
	w.Uint(uint64(p.Partition))
	w.Str(p.Stage)
	putRingNodes(w, p.Replicas)
	putRingNodes(w, p.Writers)
	return w.Bytes()
}

// DecodeRingPlace reads it.
func DecodeRingPlace(b []byte) (p topology.RingPlace, err error) {
	r, err := open(b, 5)
	if err != nil {
		return p, err
	}
	p = topology.RingPlace{Epoch: r.Uint(), Partition: int(r.UintMax(math.MaxInt32)), Stage: r.StrMax(nameBytesMax), Replicas: getRingNodes(&r), Writers: getRingNodes(&r)}
	return p, done(&r)
}

// EncodeHandoffs returns what waits for whom: from, to, records, bytes, age, more,
// reached, of each.
func EncodeHandoffs(hs []topology.Handoff) []byte {
	w := begin(1)
	w.Array(handoffFields * len(hs))
	for i := range hs {
		h := &hs[i]
		w.Str(string(h.From))
		w.Str(string(h.To))
		w.Uint(h.Records)
		w.Uint(h.Bytes)
		w.Uint(uint64(max(0, h.Age)))
		w.Bool(h.More)
		w.Bool(h.Reached)
	}
	return w.Bytes()
}

// DecodeHandoffs reads it.
func DecodeHandoffs(b []byte) (hs []topology.Handoff, err error) {
	r, err := open(b, 1)
	if err != nil {
		return nil, fmt.Errorf("what waits for others: %w", err)
	}
	for n := rows(&r, handoffFields, ringNodesMax); n > 0 && r.Err() == nil; n-- {
		hs = append(hs, topology.Handoff{
			From: topology.NodeID(r.StrMax(nameBytesMax)), To: topology.NodeID(r.StrMax(nameBytesMax)), Records: r.Uint(), Bytes: r.Uint(),
			Age: time.Duration(r.UintMax(math.MaxInt64)), More: r.Bool(), Reached: r.Bool(),
		})
	}
	return hs, done(&r)
}
