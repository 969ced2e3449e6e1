package core

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Limits of what a group remembers of named requests. Both are part of what it
// replicates: a node with other limits would hold other cells.
const (
	RequestsKept = 64   // sequences of one client, the newest
	ClientsKept  = 4096 // clients, those whose last request was accepted last
)

// Requests is what a group remembers of the named requests that it has applied
// (S17): the answers to the last of each client. It is a function of the log
// alone, no clock decides, so that every node remembers the same; and it stands
// in the store, in cells that are written in one step with what the requests
// did, so that a snapshot brings it along and a restart finds it:
//
//	key    the client, 8 bytes big endian; one byte 0 for the group
//	field  the sequence modulo RequestsKept, 1 byte; none for the client itself
//	value  of an answer: a msgpack array of its sequence, term, the sum of its
//	       mutations and its result, as bin; the dot and the time of the version
//	       are the answer's
//	       of a client: the sequence that was forgotten when it came
//	       of the group: the greatest sequence of a client that was forgotten
//
// Nothing goes because it is old. What goes for lack of room leaves behind the
// greatest sequence that went, and nothing at or below that is ever accepted as
// new: a retry that comes too late is refused, not done again.
type Requests struct {
	clientsKept int
	forgotten   uint64 // of clients that are not known any more
	clients     map[uint64]*requester
	oldest      *requester // the first of them by their last LSN
	latest      *requester // and the last
}

// requester is what is known of one client.
type requester struct {
	client  uint64
	floor   uint64     // what had been forgotten when it came
	newest  uint64     // its greatest sequence
	last    record.LSN // of its request that was accepted last
	answers []Answer   // one for each sequence modulo RequestsKept

	before, after *requester // in the order of their last LSN
}

// Answer is the answer to a named request.
type Answer struct {
	Seq  uint64
	LSN  record.LSN
	Term uint64
	Time version.Timestamp
	Sum  uint32 // of its mutations, see SumOf

	Result []byte // what an update told its caller beside; see Result
}

// Memory is what is known of a request.
type Memory uint8

const (
	RequestNew       Memory = iota // it was never accepted
	RequestKnown                   // it was, and this is the answer
	RequestForgotten               // it may have been
)

// NewRequests returns the memory of a group that has applied nothing.
func NewRequests() *Requests {
	return &Requests{clientsKept: ClientsKept, clients: map[uint64]*requester{}}
}

// Find returns what is known of a request.
func (q *Requests) Find(id record.RequestID) (Answer, Memory) {
	forgotten := q.forgotten
	if c := q.clients[id.Client]; c != nil {
		for i := range c.answers {
			if c.answers[i].Seq == id.Seq {
				return c.answers[i], RequestKnown
			}
		}
		forgotten = c.forgotten()
	}
	if id.Seq <= forgotten {
		return Answer{}, RequestForgotten
	}
	return Answer{}, RequestNew
}

// forgotten is the sequence at and below which only what is remembered is known.
func (c *requester) forgotten() uint64 {
	return max(c.floor, c.newest-min(c.newest, RequestsKept))
}

// Len returns how many clients are known.
func (q *Requests) Len() int { return len(q.clients) }

// Add takes in an applied record, and appends the edits that keep the cells in
// step. The states they encode stand in arena.
func (q *Requests) Add(edits []topology.Edit, arena []byte, enc *record.Encoder, r *record.Record) ([]topology.Edit, []byte) {
	if r.Request.IsZero() || r.Request.Seq == 0 {
		return edits, arena
	}
	put := func(key, field, value []byte) {
		s := record.State{Siblings: []record.Version{{Dot: r.Dot, Time: r.Time, Kind: record.KindBytes, Value: value}}}
		at := len(arena)
		arena = enc.AppendState(arena, &s)
		cell := record.Cell{Table: record.TableRequests, Key: key, Field: field}
		edits = append(edits, topology.Edit{Cell: cell, State: arena[at:len(arena):len(arena)]})
	}
	key := clientKey(r.Request.Client)
	c := q.clients[r.Request.Client]
	if c == nil {
		for len(q.clients) >= q.clientsKept {
			gone := q.forget()
			edits = append(edits, topology.Edit{Cell: record.Cell{Table: record.TableRequests, Key: clientKey(gone.client)}, Whole: true})
			if gone.newest > q.forgotten {
				q.forgotten = gone.newest
				put(groupKey, nil, packed(q.forgotten))
			}
		}
		c = &requester{client: r.Request.Client, floor: q.forgotten}
		q.clients[c.client] = c
		q.link(c)
		if q.forgotten > 0 {
			put(key, nil, packed(q.forgotten))
		}
	}
	if r.Request.Seq <= c.newest-min(c.newest, RequestsKept) {
		return edits, arena // it fell behind on its way, and is forgotten already
	}
	a := AnswerOf(r)
	c.put(a)
	q.unlink(c)
	q.link(c)
	put(key, []byte{byte(a.Seq % RequestsKept)}, a.pack())
	return edits, arena
}

// forget drops the client that was not heard of for longest.
func (q *Requests) forget() *requester {
	c := q.oldest
	q.unlink(c)
	delete(q.clients, c.client)
	return c
}

// link makes c the latest.
func (q *Requests) link(c *requester) {
	if c.before = q.latest; c.before == nil {
		q.oldest = c
	} else {
		c.before.after = c
	}
	q.latest = c
}

func (q *Requests) unlink(c *requester) {
	if c.before == nil {
		q.oldest = c.after
	} else {
		c.before.after = c.after
	}
	if c.after == nil {
		q.latest = c.before
	} else {
		c.after.before = c.before
	}
	c.before, c.after = nil, nil
}

// put remembers an answer in the place of the one that it displaces.
func (c *requester) put(a Answer) {
	c.newest, c.last = max(c.newest, a.Seq), max(c.last, a.LSN)
	for i := range c.answers {
		if c.answers[i].Seq%RequestsKept == a.Seq%RequestsKept {
			c.answers[i] = a
			return
		}
	}
	c.answers = append(c.answers, a)
}

// LoadRequests reads the memory back from the cells of its table.
func LoadRequests(s topology.Snapshot) (*Requests, error) {
	q := NewRequests()
	for ed, err := range s.Scan(record.Cell{Table: record.TableRequests}, record.Cell{Table: record.TableRequests + 1}) {
		if err == nil {
			err = q.load(&ed)
		}
		if err != nil {
			return nil, fmt.Errorf("the table of requests: %w", err)
		}
	}
	clients := slices.Sorted(maps.Keys(q.clients))
	slices.SortFunc(clients, func(a, b uint64) int { return cmp.Compare(q.clients[a].last, q.clients[b].last) })
	for _, client := range clients {
		q.link(q.clients[client])
	}
	return q, nil
}

// load takes in one cell.
func (q *Requests) load(ed *topology.Edit) error {
	v, err := Stored(ed.State)
	if err == nil && v == nil {
		err = fmt.Errorf("%w: a cell without a value", topology.ErrMalformed)
	}
	if err != nil {
		return err
	}
	r := pack.NewReader(v.Value)
	if string(ed.Key) == string(groupKey) && len(ed.Field) == 0 {
		r.ArrayOf(1)
		q.forgotten = r.Uint()
		return r.Done()
	}
	if len(ed.Key) != 8 || len(ed.Field) > 1 {
		return fmt.Errorf("%w: key %x, field %x", topology.ErrMalformed, ed.Key, ed.Field)
	}
	client := binary.BigEndian.Uint64(ed.Key)
	c := q.clients[client]
	if c == nil {
		c = &requester{client: client}
		q.clients[client] = c
	}
	if len(ed.Field) == 0 {
		r.ArrayOf(1)
		c.floor = r.Uint()
		return r.Done()
	}
	r.ArrayOf(4)
	a := Answer{Seq: r.Uint(), Term: r.Uint(), Sum: uint32(r.UintMax(1<<32 - 1)), LSN: record.LSN(v.Dot.Seq), Time: v.Time}
	a.Result = append(a.Result, r.BinMax(record.ResultBytesMax)...)
	c.put(a)
	return r.Done()
}

// groupKey is the key of what concerns no one client.
var groupKey = []byte{0}

func clientKey(client uint64) []byte { return binary.BigEndian.AppendUint64(nil, client) }

// packed is a msgpack array of one number.
func packed(n uint64) []byte {
	w := pack.NewWriter(nil)
	w.Array(1)
	w.Uint(n)
	return w.Bytes()
}

// pack returns an answer as its cell holds it.
func (a *Answer) pack() []byte {
	w := pack.NewWriter(nil)
	w.Array(4)
	w.Uint(a.Seq)
	w.Uint(a.Term)
	w.Uint(uint64(a.Sum))
	w.Bin(a.Result)
	return w.Bytes()
}
