package server

import (
	"bytes"
	"runtime/debug"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// request is one command on its way to its answer. Requests are used again; what
// a request refers to belongs to it until its answer is taken.
type request struct {
	cmd    *command
	args   [][]byte // the name first; they alias what was read
	now    time.Time
	places []place              // its keys, in order
	reads  []topology.CellRange // what decide sees
	opt    options              // what plan found in the arguments
	tx     *transaction         // of EXEC

	out     resp.Writer
	muts    []record.Mutation
	scratch []byte // encoded values that mutations refer to

	server   *Server
	before   *request // in the same group: its answers count towards the limit
	answers  int      // bytes of the answers before it in the group
	held     int64    // bytes of the answer that the budget knows of
	settled  bool     // within a transaction: answered already
	silenced bool     // CLIENT REPLY
	refusal  error    // why this node may not do it
	deciding func(topology.Sight) ([]record.Mutation, error)
}

// options are what a command's arguments ask for beyond keys and values.
type options struct {
	when    condition
	get     bool
	keepTTL bool
	expires version.Timestamp // 0: none was given
	n       int64
	text    string
	count   int
	extra   []byte
	remove  bool
	at      int // an argument's place
}

// condition is when a write is done.
type condition uint8

const (
	ifAbsent condition = 1 << iota
	ifPresent
	ifGreater
	ifLess
)

// place is a key as the node knows it.
type place struct {
	table record.TableID
	kind  record.Kind   // of the table; any: each key has its own
	ttl   time.Duration // that a key of the table has if nothing else is said
	key   []byte
}

func newRequest(s *Server) *request {
	r := &request{server: s}
	r.deciding = r.run
	return r
}

// writing reports whether the request may change something.
func (r *request) writing() bool {
	return r.cmd.flags&writes != 0 || r.tx != nil && r.tx.writes
}

// requestBytesKept bounds what a request keeps of its buffers.
const requestBytesKept = 16 << 10

// reset makes the request ready for another command.
func (r *request) reset() {
	r.hold(0)
	*r = request{
		places: r.places[:0], reads: r.reads[:0], muts: r.muts[:0], scratch: r.scratch[:0],
		out: r.out, server: r.server, deciding: r.deciding,
	}
	if cap(r.places) > 64 || cap(r.reads) > 64 || cap(r.muts) > 64 {
		r.places, r.reads, r.muts = nil, nil, nil
	}
	if cap(r.scratch) > requestBytesKept {
		r.scratch = nil
	}
	b := r.out.Bytes()
	if cap(b) > requestBytesKept {
		b = nil
	}
	r.out.Reset(b[:0])
}

// run decides, on a goroutine of the engine: perhaps more than once, with the
// answer of the last time being the answer.
func (r *request) run(s topology.Sight) (ms []record.Mutation, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.server.counts.panics.Add(1)
			r.server.logger.Error("a command failed", "command", r.cmd.name, "panic", p, "stack", string(debug.Stack()))
			r.fail(replyError("ERR internal error"))
			ms = nil
		}
	}()
	r.clear()
	if r.before != nil {
		r.answers = r.before.answers + r.before.out.Len()
	}
	if err := r.cmd.decide(r, s); err != nil {
		r.fail(err)
		return nil, nil
	}
	if err := r.fits(); err != nil {
		r.fail(err)
		return nil, nil
	}
	return r.muts, nil
}

// fits holds the answer to its limits.
func (r *request) fits() error {
	n := r.out.Len()
	if most := r.server.o.Limits.AnswerBytesMax; r.answers+n > most {
		return replyErrorf("ERR the answer is longer than %d bytes, alone or with those before it: ask for less at once", most)
	}
	if n > requestBytesKept && !r.hold(int64(n)) {
		return replyError("TRYAGAIN too many long answers are on their way to clients")
	}
	return nil
}

// hold makes the budget know of n bytes of the answer.
func (r *request) hold(n int64) bool {
	if n == r.held || !r.server.buffers.take(n-r.held) {
		return n == r.held
	}
	r.held = n
	return true
}

func (r *request) clear() {
	r.out.Truncate(0)
	r.muts, r.scratch = r.muts[:0], r.scratch[:0]
}

// fail makes err the answer, and nothing else happen.
func (r *request) fail(err error) {
	r.clear()
	r.out.Error(err.Error())
}

// checkKey says what is wrong with a key.
func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return replyError("ERR invalid key: it is empty")
	case len(key) > record.KeyBytesMax:
		return replyErrorf("ERR too large: key of %d bytes, at most %d", len(key), record.KeyBytesMax)
	}
	return nil
}

func checkFields(fields [][]byte) error {
	for _, f := range fields {
		switch {
		case len(f) == 0:
			return replyError("ERR invalid field or member: it is empty")
		case len(f) > record.FieldBytesMax:
			return replyErrorf("ERR too large: field or member of %d bytes, at most %d", len(f), record.FieldBytesMax)
		}
	}
	return nil
}

// prepare judges the arguments and says what is read; its places are known.
func (r *request) prepare() error {
	r.reads = r.reads[:0]
	if r.cmd.plan != nil {
		return r.cmd.plan(r)
	}
	for i := range r.places {
		r.readHead(i)
	}
	return nil
}

func (r *request) cell(i int, field []byte) record.Cell {
	return record.Cell{Table: r.places[i].table, Key: r.places[i].key, Field: field}
}

func (r *request) readHead(i int) {
	r.reads = append(r.reads, topology.CellRange{Cell: r.cell(i, nil)})
}

func (r *request) readField(i int, field []byte) {
	r.reads = append(r.reads, topology.CellRange{Cell: r.cell(i, field)})
}

func (r *request) readWhole(i int) {
	r.reads = append(r.reads, topology.CellRange{Cell: r.cell(i, nil), Whole: true})
}

// seen tells what comes for the first time.
type seen struct {
	few  [][]byte
	many map[string]struct{}
}

// seenFew is how many are compared one by one.
const seenFew = 16

// first reports whether b has not come before.
func (s *seen) first(b []byte) bool {
	if s.many != nil {
		n := len(s.many)
		s.many[string(b)] = struct{}{}
		return len(s.many) > n
	}
	for _, f := range s.few {
		if bytes.Equal(f, b) {
			return false
		}
	}
	if s.few = append(s.few, b); len(s.few) > seenFew {
		s.many = make(map[string]struct{}, 4*seenFew)
		for _, f := range s.few {
			s.many[string(f)] = struct{}{}
		}
	}
	return true
}

// checkCount refuses at once what no record could take.
func checkCount(n int, what string) error {
	if n > record.MutationsMax {
		return replyErrorf("ERR too large: %d %s in one command, at most %d", n, what, record.MutationsMax)
	}
	return nil
}
