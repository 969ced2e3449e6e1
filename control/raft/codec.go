package raft

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// format is that of everything this package writes: on disk and between nodes. A
// reader refuses another one.
const format = 1

func getFormat(r *pack.Reader) {
	if f := r.Uint(); r.Err() == nil && f != format {
		r.Fail(fmt.Sprintf("format %d, and this version knows %d", f, format))
	}
}

func getNode(r *pack.Reader) topology.NodeID {
	id := topology.NodeID(r.StrMax(nameBytesMax))
	if r.Err() == nil && !id.Valid() {
		r.Fail("not a node's name")
	}
	return id
}

func getName(r *pack.Reader) string {
	name := r.StrMax(nameBytesMax)
	if r.Err() == nil && !validName(name) {
		r.Fail("not a document's name")
	}
	return name
}

// A command is an array of eleven: format, kind, node, session, number, name,
// version, body, id, life, number.
const commandFields = 11

func encodeCommand(c command) []byte {
	w := pack.NewWriter(make([]byte, 0, len(c.document.Body)+256))
	w.Array(commandFields)
	w.Uint(format)
	w.Uint(uint64(c.kind))
	putOperation(w, c.op)
	w.Str(c.document.Name)
	w.Uint(c.document.Version)
	w.Bin(c.document.Body)
	w.Str(string(c.id))
	w.Uint(c.life)
	w.Uint(c.number)
	return w.Bytes()
}

// decodeCommand reads a command, whose body aliases b.
func decodeCommand(b []byte) (c command, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(commandFields)
	getFormat(&r)
	c.kind = commandKind(r.UintMax(uint64(commandKindEnd) - 1))
	c.op = getOperation(&r)
	c.document = topology.Document{Name: r.StrMax(nameBytesMax), Version: r.Uint(), Body: r.BinMax(BodyBytesMax)}
	c.id = topology.NodeID(r.StrMax(nameBytesMax))
	c.life, c.number = r.Uint(), r.Uint()
	if err := r.Done(); err != nil {
		return command{}, err
	}
	swap := c.kind == commandSwap
	switch {
	case c.kind == 0, swap && !validName(c.document.Name), !swap && !c.id.Valid():
		return command{}, fmt.Errorf("command of kind %d: %w", c.kind, topology.ErrMalformed)
	case swap && (c.id != "" || c.life|c.number != 0), !swap && (c.document.Name != "" || c.document.Version != 0 || len(c.document.Body) != 0):
		return command{}, fmt.Errorf("command of kind %d with fields of another: %w", c.kind, topology.ErrMalformed)
	}
	return c, nil
}

func putOperation(w *pack.Writer, op operation) {
	w.Str(string(op.node))
	w.Uint(op.session)
	w.Uint(op.number)
}

func getOperation(r *pack.Reader) operation {
	return operation{node: getNode(r), session: r.Uint(), number: r.Uint()}
}

// A state is an array of five: format, documents, claims, number, sessions.
//
//	documents  array of name, version, body, …, by name
//	claims     array of id, number, holder, life, session, …, by id
//	sessions   array of node, session, floor, results, …; the latest last
//	results    array of number, code, value, …, by number
const (
	stateFields    = 5
	documentFields = 3
	claimFields    = 5
	sessionFields  = 4
	resultFields   = 3
)

func (s *state) encode() []byte {
	w := pack.NewWriter(make([]byte, 0, s.bytes+4096))
	w.Array(stateFields)
	w.Uint(format)
	w.Array(documentFields * len(s.documents))
	for _, name := range s.names() {
		putDocument(w, s.documents[name])
	}
	w.Array(claimFields * len(s.claims))
	for _, id := range s.held() {
		c := s.claims[id]
		w.Str(string(id))
		w.Uint(c.number)
		w.Str(string(c.holder))
		w.Uint(c.life)
		w.Uint(c.session)
	}
	w.Uint(s.number)
	w.Array(sessionFields * len(s.sessions))
	for _, h := range s.sessions {
		w.Str(string(h.node))
		w.Uint(h.session)
		w.Uint(h.floor)
		w.Array(resultFields * len(h.results))
		for _, n := range h.results {
			w.Uint(n.number)
			w.Uint(uint64(n.result.code))
			w.Uint(n.result.value)
		}
	}
	return w.Bytes()
}

func putDocument(w *pack.Writer, d topology.Document) {
	w.Str(d.Name)
	w.Uint(d.Version)
	w.Bin(d.Body)
}

// getDocument reads a document, whose body is its own.
func getDocument(r *pack.Reader) topology.Document {
	d := topology.Document{Name: getName(r), Version: r.Uint()}
	d.Body = append([]byte(nil), r.BinMax(BodyBytesMax)...)
	return d
}

func decodeState(b []byte) (*state, error) {
	s := newState()
	r := pack.NewReader(b)
	r.ArrayOf(stateFields)
	getFormat(&r)
	for n := records(&r, documentFields, NamesMax); n > 0 && r.Err() == nil; n-- {
		d := getDocument(&r)
		if _, twice := s.documents[d.Name]; twice {
			r.Fail("a document twice")
		}
		s.documents[d.Name] = d
		s.bytes += len(d.Name) + len(d.Body)
	}
	for n := records(&r, claimFields, ClaimsMax); n > 0 && r.Err() == nil; n-- {
		id := getNode(&r)
		if _, twice := s.claims[id]; twice {
			r.Fail("a claim twice")
		}
		s.claims[id] = claimed{number: r.Uint(), holder: getNode(&r), life: r.Uint(), session: r.Uint()}
	}
	s.number = r.Uint()
	for n := records(&r, sessionFields, sessionsMax); n > 0 && r.Err() == nil; n-- {
		h := session{node: getNode(&r), session: r.Uint(), floor: r.Uint()}
		for m := records(&r, resultFields, resultsMax); m > 0 && r.Err() == nil; m-- {
			h.results = append(h.results, numbered{r.Uint(), result{code(r.UintMax(uint64(codeEnd) - 1)), r.Uint()}})
		}
		s.sessions = append(s.sessions, h)
	}
	if s.bytes > StateBytesMax {
		r.Fail("more bytes of documents than there may be")
	}
	return s, r.Done()
}

// records reads the head of an array of at most most records of so many fields,
// and returns how many there are.
func records(r *pack.Reader, fields, most int) int {
	n := r.ArrayMax(fields * most)
	if r.Err() == nil && n%fields != 0 {
		r.Fail("a record in part")
	}
	if r.Err() != nil {
		return 0
	}
	return n / fields
}

// validName: a letter, then letters, digits, '-', '.', '_' and '/', 63 at most.
func validName(name string) bool {
	if name == "" || len(name) > nameBytesMax || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '/' {
			return false
		}
	}
	return true
}
