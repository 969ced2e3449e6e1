package raft

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Methods that nodes call at voters.
const (
	methodHello   = "control.raft.hello"   // who are you?
	methodAdmit   = "control.raft.admit"   // take this directory in
	methodLoad    = "control.raft.load"    // a document
	methodPropose = "control.raft.propose" // a change
	methodRenew   = "control.raft.renew"   // these registrations live
	methodWatch   = "control.raft.watch"   // what is newer than this?
)

var (
	questionMethods = []string{methodHello, methodAdmit, methodLoad, methodPropose, methodRenew, methodWatch}
	messageMethods  = []string{methodAppend, methodVote, methodPreVote, methodTimeout, methodInstall}
)

const votersMax = 5

// question is what one node asks a voter; which fields matter is the method's
// affair, the others are empty.
type question struct {
	group   string // the one that the asker knows; empty if it knows none
	voters  []topology.NodeID
	server  string              // hello, admit: the asker's
	applied uint64              // admit: how far it has come
	name    string              // load
	command []byte              // propose
	have    []topology.Document // watch: names and versions
	claims  []claim             // renew
}

// claim is a name and the number under which a process holds it.
type claim struct {
	id     topology.NodeID
	number uint64
}

// answer is what a voter says.
type answer struct {
	group     string
	servers   []string            // hello: those that founded the group
	result    result              // propose
	documents []topology.Document // load, watch
	gone      []claim             // renew: those that are not held under that number
}

// A question is an array of nine: format, group, voters, server, applied, name,
// command, documents (name, version, …), claims (id, number, …).
func encodeQuestion(q question) []byte {
	w := pack.NewWriter(make([]byte, 0, len(q.command)+512))
	w.Array(9)
	w.Uint(format)
	w.Str(q.group)
	w.Array(len(q.voters))
	for _, v := range q.voters {
		w.Str(string(v))
	}
	w.Str(q.server)
	w.Uint(q.applied)
	w.Str(q.name)
	w.Bin(q.command)
	w.Array(2 * len(q.have))
	for _, d := range q.have {
		w.Str(d.Name)
		w.Uint(d.Version)
	}
	putClaims(w, q.claims)
	return w.Bytes()
}

// decodeQuestion reads a question, whose command aliases b.
func decodeQuestion(b []byte) (q question, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(9)
	getFormat(&r)
	q.group = r.StrMax(serverBytesMax)
	for n := r.ArrayMax(votersMax); n > 0 && r.Err() == nil; n-- {
		q.voters = append(q.voters, getNode(&r))
	}
	q.server, q.applied, q.name = r.StrMax(serverBytesMax), r.Uint(), r.StrMax(nameBytesMax)
	q.command = r.BinMax(entryBytesMax)
	for n := records(&r, 2, NamesMax); n > 0 && r.Err() == nil; n-- {
		q.have = append(q.have, topology.Document{Name: getName(&r), Version: r.Uint()})
	}
	q.claims = getClaims(&r)
	return q, r.Done()
}

func putClaims(w *pack.Writer, cs []claim) {
	w.Array(2 * len(cs))
	for _, c := range cs {
		w.Str(string(c.id))
		w.Uint(c.number)
	}
}

func getClaims(r *pack.Reader) (cs []claim) {
	for n := records(r, 2, ClaimsMax); n > 0 && r.Err() == nil; n-- {
		cs = append(cs, claim{getNode(r), r.Uint()})
	}
	return cs
}

// An answer is an array of seven: format, group, servers, code, value, documents
// (name, version, body, …), claims.
func encodeReply(a answer) []byte {
	room := 512
	for _, d := range a.documents {
		room += len(d.Body) + len(d.Name) + 16
	}
	w := pack.NewWriter(make([]byte, 0, room))
	w.Array(7)
	w.Uint(format)
	w.Str(a.group)
	w.Array(len(a.servers))
	for _, s := range a.servers {
		w.Str(s)
	}
	w.Uint(uint64(a.result.code))
	w.Uint(a.result.value)
	w.Array(documentFields * len(a.documents))
	for _, d := range a.documents {
		putDocument(w, d)
	}
	putClaims(w, a.gone)
	return w.Bytes()
}

// decodeReply reads an answer. It keeps nothing of b.
func decodeReply(b []byte) (a answer, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(7)
	getFormat(&r)
	a.group = r.StrMax(serverBytesMax)
	a.servers = getServerIDs(&r)
	a.result = result{code(r.UintMax(uint64(codeEnd) - 1)), r.Uint()}
	for n := records(&r, documentFields, NamesMax); n > 0 && r.Err() == nil; n-- {
		a.documents = append(a.documents, getDocument(&r))
	}
	a.gone = getClaims(&r)
	return a, r.Done()
}

func getServerIDs(r *pack.Reader) (ids []string) {
	for n := r.ArrayMax(votersMax); n > 0 && r.Err() == nil; n-- {
		id := r.StrMax(serverBytesMax)
		if _, err := parseServer(id); err != nil && r.Err() == nil {
			r.Fail("not a server's id")
		}
		ids = append(ids, id)
	}
	return ids
}

// fail is how everything here fails.
func fail(op string, outcome topology.Outcome, err error) error {
	return &topology.Error{Op: op, Outcome: outcome, Err: err}
}

// verdict is the error that a result stands for, nil for none.
func verdict(c command, r result) error {
	what := fmt.Sprintf("document %s", c.document.Name)
	if c.kind != commandSwap {
		what = fmt.Sprintf("registration of %s", c.id)
	}
	switch r.code {
	case codeDone:
		return nil
	case codeConflict:
		return fail("swap", topology.NotApplied, fmt.Errorf("%s is at version %d, not %d: %w", what, r.value, c.document.Version, topology.ErrConflict))
	case codeFull:
		return fail("swap", topology.NotApplied, fmt.Errorf("%s: more than %d bytes of documents, %d documents or %d registrations: %w", what, StateBytesMax, NamesMax, ClaimsMax, topology.ErrTooLarge))
	case codeHeld:
		return fail("register", topology.NotApplied, fmt.Errorf("%s: another process holds it under number %d: %w", what, r.value, topology.ErrConflict))
	}
	return fail("swap", topology.Unknown, fmt.Errorf("%s: the answer came too late to be known: %w", what, topology.ErrTimeout))
}
