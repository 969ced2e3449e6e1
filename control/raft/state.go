package raft

import (
	"maps"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// state is what the voters agree on. It is changed by apply alone, a function of
// the state and one command: no clock, no chance, no order of a map, so that it is
// the same at every voter.
type state struct {
	documents map[string]topology.Document
	bytes     int // of their names and bodies
	claims    map[topology.NodeID]claimed
	number    uint64    // the last that a registration was given
	sessions  []session // the one that was heard of last stands last
}

// claimed is a name and who holds it.
type claimed struct {
	number  uint64
	holder  topology.NodeID
	life    uint64
	session uint64
}

// session is what is remembered of one process: what became of its last changes,
// so that one that arrives twice applies once and is answered alike.
type session struct {
	node    topology.NodeID
	session uint64
	floor   uint64 // the highest number that is forgotten
	results []numbered
}

type numbered struct {
	number uint64
	result result
}

// operation names one change of one process.
type operation struct {
	node    topology.NodeID
	session uint64 // drawn by the process when it starts
	number  uint64 // grows with every change it asks for
}

type commandKind uint8

const (
	commandSwap    commandKind = iota + 1
	commandClaim               // a name, for a process
	commandRelease             // a name with that number
	commandKindEnd
)

// command is a change that is asked for.
type command struct {
	kind     commandKind
	op       operation
	document topology.Document // of a swap: the version it replaces
	id       topology.NodeID   // the name that is claimed or released
	life     uint64            // of a claim
	number   uint64            // of a release
}

type code uint8

const (
	codeDone      code = iota
	codeConflict       // the document is at another version
	codeFull           // there are as many as there may be
	codeHeld           // the name is another process's
	codeForgotten      // it is so late that nobody knows whether it was applied
	codeEnd
)

// result is what became of a command: value is the version a document is at, or a
// registration's number.
type result struct {
	code  code
	value uint64
}

func newState() *state {
	return &state{documents: map[string]topology.Document{}, claims: map[topology.NodeID]claimed{}}
}

// apply makes the change, once, and says what became of it.
func (s *state) apply(c command) result {
	at := s.recall(c.op)
	h := &s.sessions[at]
	for _, n := range h.results {
		if n.number == c.op.number {
			return n.result
		}
	}
	if c.op.number <= h.floor {
		return result{code: codeForgotten}
	}
	var r result
	switch c.kind {
	case commandSwap:
		r = s.swap(c.document)
	case commandClaim:
		r = s.claim(c)
	case commandRelease:
		r = s.release(c)
	}
	h.remember(numbered{c.op.number, r})
	return r
}

// recall returns the place of a process's session, which is the last from now on.
func (s *state) recall(op operation) int {
	at := slices.IndexFunc(s.sessions, func(h session) bool { return h.node == op.node && h.session == op.session })
	h := session{node: op.node, session: op.session}
	if at >= 0 {
		h = s.sessions[at]
		s.sessions = slices.Delete(s.sessions, at, at+1)
	} else if len(s.sessions) >= sessionsMax {
		s.sessions = slices.Delete(s.sessions, 0, 1)
	}
	s.sessions = append(s.sessions, h)
	return len(s.sessions) - 1
}

func (h *session) remember(n numbered) {
	at, _ := slices.BinarySearchFunc(h.results, n, func(a, b numbered) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	h.results = slices.Insert(h.results, at, n)
	if len(h.results) > resultsMax {
		h.floor = h.results[0].number
		h.results = slices.Delete(h.results, 0, 1)
	}
}

func (s *state) swap(d topology.Document) result {
	have, known := s.documents[d.Name]
	grown := s.bytes - len(have.Body) + len(d.Body)
	if !known {
		grown += len(d.Name)
	}
	switch {
	case have.Version != d.Version:
		return result{codeConflict, have.Version}
	case d.Version+1 == 0, grown > StateBytesMax, !known && len(s.documents) >= NamesMax:
		return result{codeFull, have.Version}
	}
	d.Version++
	s.documents[d.Name], s.bytes = d, grown
	return result{codeDone, d.Version}
}

// claim gives a name that is free, or held by an earlier process of the same
// directory, which cannot be alive: a directory has one process.
func (s *state) claim(c command) result {
	have, held := s.claims[c.id]
	switch {
	case held && (have.holder != c.op.node || have.life != c.life):
		return result{codeHeld, have.number}
	case !held && len(s.claims) >= ClaimsMax:
		return result{codeFull, s.number}
	}
	s.number++
	s.claims[c.id] = claimed{number: s.number, holder: c.op.node, life: c.life, session: c.op.session}
	return result{codeDone, s.number}
}

func (s *state) release(c command) result {
	if s.claims[c.id].number == c.number {
		delete(s.claims, c.id)
	}
	return result{codeDone, c.number}
}

// names returns the names of the documents in order.
func (s *state) names() []string { return slices.Sorted(maps.Keys(s.documents)) }

// held returns the names that are claimed in order.
func (s *state) held() []topology.NodeID { return slices.Sorted(maps.Keys(s.claims)) }
