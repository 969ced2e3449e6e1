package server

import (
	"errors"
	"runtime/debug"
	"time"

	"github.com/triad-kv/triad/internal/kind"
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
	places []kind.Key // its keys, in order
	opt    options    // what plan found in the arguments
	op     kind.Op    // what is decided
	reads  []topology.CellRange
	out    resp.Writer
	tx     *transaction // of EXEC

	server   *Server
	before   *request // in the same group: its answers count towards the limit
	room              // for the answer
	due      bool     // a read came upon a key that should have gone by now
	changes  bool     // something was decided to change
	settled  bool     // within a transaction: answered already
	silenced bool     // CLIENT REPLY
	refusal  error    // why this node may not do it
	deciding func(topology.Sight) ([]record.Mutation, error)
	usual    usual
}

// room is what an answer may take.
type room struct {
	answers int   // bytes of the answers before it in the group
	most    int   // bytes of all of them, where that is less than the server's limit; 0: it is not
	held    int64 // bytes of the answer that the budget knows of
}

// usual are the decisions that most commands come to, kept so that they cost no
// allocation.
type usual struct {
	get  kind.Get
	put  kind.Put
	incr kind.Incr
	look kind.Look
}

// options are what a command's arguments ask for beyond keys and values.
type options struct {
	expires version.Timestamp // 0: none was given
	match   []byte            // nil: everything
	typed   string            // empty: every type
	count   int
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

// requestBytesKept bounds what a request keeps of its answer, placesKept of its keys.
const (
	requestBytesKept = 16 << 10
	placesKept       = 64
)

// reset makes the request ready for another command.
func (r *request) reset() {
	r.hold(0)
	*r = request{places: r.places[:0], out: r.out, server: r.server, deciding: r.deciding}
	if cap(r.places) > placesKept {
		r.places = nil
	}
	b := r.out.Bytes()
	if cap(b) > requestBytesKept {
		b = nil
	}
	r.out.Reset(b[:0])
}

// bytes is about how long what it changes may be: no change is much longer than
// its command.
func (r *request) bytes() int {
	if r.tx != nil {
		return r.tx.bytes
	}
	n := 0
	for _, a := range r.args {
		n += len(a)
	}
	return n
}

// prepare judges the arguments and says what is read; its places are known.
func (r *request) prepare() error {
	if err := r.cmd.plan(r); err != nil {
		return err
	}
	r.reads = r.op.Reads()
	return nil
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
	r.out.Truncate(0)
	r.changes = false
	if r.before != nil {
		r.answers = r.before.answers + r.before.out.Len()
	}
	ms, err = r.op.Decide(s)
	if err == nil {
		r.cmd.show(r)
		err = r.fits()
	}
	if err != nil {
		r.fail(r.refused(err))
		return nil, nil
	}
	r.changes = len(ms) > 0
	return ms, nil
}

// fits holds the answer to its limits.
func (r *request) fits() error {
	n := r.out.Len()
	most := r.server.o.Limits.AnswerBytesMax
	if r.most > 0 {
		most = min(most, r.most)
	}
	if r.answers+n > most {
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

// fail makes err the answer.
func (r *request) fail(err error) {
	r.out.Truncate(0)
	r.out.Error(err.Error())
}

// refused is why a decision was refused, in the words of Redis where it has them.
func (r *request) refused(err error) error {
	switch {
	case errors.Is(err, kind.ErrWrongKind):
		return errWrongType
	case errors.Is(err, kind.ErrOverflow):
		return errOverflow
	case errors.Is(err, kind.ErrNotInteger) && r.cmd.group == "hash":
		return errHashInteger
	case errors.Is(err, kind.ErrNotInteger):
		return errNotInteger
	}
	return replyError(r.server.wording(err, false))
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
