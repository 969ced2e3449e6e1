package raft

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Methods of raft's own messages.
const (
	methodAppend  = "control.raft.append"
	methodVote    = "control.raft.vote"
	methodPreVote = "control.raft.prevote"
	methodTimeout = "control.raft.timeout"
	methodInstall = "control.raft.install"
)

// A message is an array: format, the group, the server it is for, then what is
// common to all of raft's (protocol, id and address of the sender), then its own.
// An answer is a format and its own values: nobody reads the sender in it.
const (
	envelopeFields = 3
	headerFields   = 3
	entryFields    = 6
	timeBytesMax   = 1 << 62
)

// envelope says for whom a message is: a voter takes none of another group, and
// none for a directory that is not its own.
type envelope struct {
	group string
	to    string
}

// message is a request of raft, with the envelope it came in.
type message struct {
	envelope
	request any    // *raft.AppendEntriesRequest, …
	body    []byte // of a snapshot
}

func putHeader(w *pack.Writer, h raft.RPCHeader) {
	w.Uint(uint64(h.ProtocolVersion))
	w.Bin(h.ID)
	w.Bin(h.Addr)
}

func getHeader(r *pack.Reader) raft.RPCHeader {
	h := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(r.UintMax(uint64(raft.ProtocolVersionMax)))}
	h.ID = append([]byte(nil), r.BinMax(serverBytesMax)...)
	h.Addr = append([]byte(nil), r.BinMax(serverBytesMax)...)
	if _, err := parseServer(string(h.ID)); r.Err() == nil && (err != nil || string(h.Addr) != string(h.ID)) {
		r.Fail("not a server's id")
	}
	return h
}

// An entry is six values: index, term, type, data, extensions, and when it was
// appended in nanoseconds since 1970. The data of a configuration are its servers
// in our own form: raft's reader of its own form believes every length it finds,
// and panics, so it never sees bytes of others.
func putEntry(w *pack.Writer, g *raft.Log) {
	w.Uint(g.Index)
	w.Uint(g.Term)
	w.Uint(uint64(g.Type))
	data := g.Data
	if g.Type == raft.LogConfiguration {
		own := pack.NewWriter(nil)
		putServers(own, raft.DecodeConfiguration(data))
		data = own.Bytes()
	}
	w.Bin(data)
	w.Bin(g.Extensions)
	var at int64
	if !g.AppendedAt.IsZero() {
		at = max(g.AppendedAt.UnixNano(), 0)
	}
	w.Uint(uint64(at))
}

// getEntry reads an entry, whose bytes alias what is read.
func getEntry(r *pack.Reader) *raft.Log {
	g := &raft.Log{Index: r.Uint(), Term: r.Uint(), Type: raft.LogType(r.UintMax(uint64(raft.LogConfiguration)))}
	g.Data, g.Extensions = r.BinMax(entryBytesMax), r.BinMax(entryBytesMax)
	if at := r.UintMax(timeBytesMax); at != 0 {
		g.AppendedAt = time.Unix(0, int64(at))
	}
	switch {
	case r.Err() != nil:
	case g.Type == raft.LogConfiguration:
		own := pack.NewReader(g.Data)
		c := getServers(&own)
		if own.Done() != nil {
			r.Fail("not a configuration")
			return g
		}
		g.Data = raft.EncodeConfiguration(c)
	case len(g.Data) == 0:
		g.Data = nil
	}
	if len(g.Extensions) == 0 {
		g.Extensions = nil
	}
	return g
}

func begin(fields int, e envelope, h raft.RPCHeader, room int) *pack.Writer {
	w := pack.NewWriter(make([]byte, 0, room+256))
	w.Array(envelopeFields + headerFields + fields)
	w.Uint(format)
	w.Str(e.group)
	w.Str(e.to)
	putHeader(w, h)
	return w
}

// encodeMessage encodes one of raft's requests.
func encodeMessage(m message) ([]byte, error) {
	switch q := m.request.(type) {
	case *raft.AppendEntriesRequest:
		room := 0
		for _, g := range q.Entries {
			room += len(g.Data) + len(g.Extensions) + 32
		}
		w := begin(5, m.envelope, q.RPCHeader, room)
		w.Uint(q.Term)
		w.Uint(q.PrevLogEntry)
		w.Uint(q.PrevLogTerm)
		w.Uint(q.LeaderCommitIndex)
		w.Array(entryFields * len(q.Entries))
		for _, g := range q.Entries {
			putEntry(w, g)
		}
		return w.Bytes(), nil
	case *raft.RequestVoteRequest:
		w := begin(4, m.envelope, q.RPCHeader, 0)
		w.Uint(q.Term)
		w.Uint(q.LastLogIndex)
		w.Uint(q.LastLogTerm)
		w.Bool(q.LeadershipTransfer)
		return w.Bytes(), nil
	case *raft.RequestPreVoteRequest:
		w := begin(3, m.envelope, q.RPCHeader, 0)
		w.Uint(q.Term)
		w.Uint(q.LastLogIndex)
		w.Uint(q.LastLogTerm)
		return w.Bytes(), nil
	case *raft.TimeoutNowRequest:
		return begin(0, m.envelope, q.RPCHeader, 0).Bytes(), nil
	case *raft.InstallSnapshotRequest:
		w := begin(7, m.envelope, q.RPCHeader, len(m.body)+1024)
		w.Uint(uint64(q.SnapshotVersion))
		w.Uint(q.Term)
		w.Uint(q.LastLogIndex)
		w.Uint(q.LastLogTerm)
		w.Uint(q.ConfigurationIndex)
		putServers(w, raft.DecodeConfiguration(q.Configuration))
		w.Bin(m.body)
		return w.Bytes(), nil
	}
	return nil, fmt.Errorf("control: message %T: %w", m.request, topology.ErrUnsupported)
}

// decodeMessage reads a request of a method. It shares b.
func decodeMessage(method string, b []byte) (m message, err error) {
	fields, known := map[string]int{methodAppend: 5, methodVote: 4, methodPreVote: 3, methodTimeout: 0, methodInstall: 7}[method]
	if !known {
		return m, fmt.Errorf("control: method %q: %w", method, topology.ErrUnsupported)
	}
	r := pack.NewReader(b)
	r.ArrayOf(envelopeFields + headerFields + fields)
	getFormat(&r)
	m.envelope = envelope{group: r.StrMax(serverBytesMax), to: r.StrMax(serverBytesMax)}
	h := getHeader(&r)
	switch method {
	case methodAppend:
		m.request = getAppend(&r, h)
	case methodVote:
		m.request = &raft.RequestVoteRequest{
			RPCHeader: h, Term: r.Uint(), LastLogIndex: r.Uint(), LastLogTerm: r.Uint(), LeadershipTransfer: r.Bool(),
		}
	case methodPreVote:
		m.request = &raft.RequestPreVoteRequest{RPCHeader: h, Term: r.Uint(), LastLogIndex: r.Uint(), LastLogTerm: r.Uint()}
	case methodTimeout:
		m.request = &raft.TimeoutNowRequest{RPCHeader: h}
	case methodInstall:
		q := &raft.InstallSnapshotRequest{
			RPCHeader: h, SnapshotVersion: raft.SnapshotVersion(r.UintMax(uint64(raft.SnapshotVersionMax))),
			Term: r.Uint(), LastLogIndex: r.Uint(), LastLogTerm: r.Uint(), ConfigurationIndex: r.Uint(),
		}
		c := getServers(&r)
		m.body = r.BinMax(snapshotBytesMax)
		q.Size = int64(len(m.body))
		if r.Err() == nil {
			q.Configuration = raft.EncodeConfiguration(c)
		}
		m.request = q
	}
	return m, r.Done()
}

func getAppend(r *pack.Reader, h raft.RPCHeader) *raft.AppendEntriesRequest {
	q := &raft.AppendEntriesRequest{RPCHeader: h, Term: r.Uint(), PrevLogEntry: r.Uint(), PrevLogTerm: r.Uint(), LeaderCommitIndex: r.Uint()}
	next := q.PrevLogEntry
	for n := records(r, entryFields, entriesMax); n > 0 && r.Err() == nil; n-- {
		g := getEntry(r)
		next++
		switch {
		case r.Err() != nil:
		case g.Index != next:
			r.Fail("entries with a gap")
		case g.Type == raft.LogAddPeerDeprecated || g.Type == raft.LogRemovePeerDeprecated:
			r.Fail("an entry of an older protocol")
		}
		q.Entries = append(q.Entries, g)
	}
	return q
}

// encodeAnswer encodes one of raft's answers.
func encodeAnswer(answer any) ([]byte, error) {
	w := pack.NewWriter(nil)
	head := func(fields int) {
		w.Array(1 + fields)
		w.Uint(format)
	}
	switch a := answer.(type) {
	case *raft.AppendEntriesResponse:
		head(4)
		w.Uint(a.Term)
		w.Uint(a.LastLog)
		w.Bool(a.Success)
		w.Bool(a.NoRetryBackoff)
	case *raft.RequestVoteResponse:
		head(2)
		w.Uint(a.Term)
		w.Bool(a.Granted)
	case *raft.RequestPreVoteResponse:
		head(2)
		w.Uint(a.Term)
		w.Bool(a.Granted)
	case *raft.TimeoutNowResponse:
		head(0)
	case *raft.InstallSnapshotResponse:
		head(2)
		w.Uint(a.Term)
		w.Bool(a.Success)
	default:
		return nil, fmt.Errorf("control: answer %T: %w", answer, topology.ErrUnsupported)
	}
	return w.Bytes(), nil
}

// decodeAnswer reads an answer into the one that raft waits for.
func decodeAnswer(b []byte, answer any) error {
	r := pack.NewReader(b)
	head := func(fields int) {
		r.ArrayOf(1 + fields)
		getFormat(&r)
	}
	switch a := answer.(type) {
	case *raft.AppendEntriesResponse:
		head(4)
		*a = raft.AppendEntriesResponse{Term: r.Uint(), LastLog: r.Uint(), Success: r.Bool(), NoRetryBackoff: r.Bool()}
	case *raft.RequestVoteResponse:
		head(2)
		*a = raft.RequestVoteResponse{Term: r.Uint(), Granted: r.Bool()}
	case *raft.RequestPreVoteResponse:
		head(2)
		*a = raft.RequestPreVoteResponse{Term: r.Uint(), Granted: r.Bool()}
	case *raft.TimeoutNowResponse:
		head(0)
		*a = raft.TimeoutNowResponse{}
	case *raft.InstallSnapshotResponse:
		head(2)
		*a = raft.InstallSnapshotResponse{Term: r.Uint(), Success: r.Bool()}
	default:
		return fmt.Errorf("control: answer %T: %w", answer, topology.ErrUnsupported)
	}
	return r.Done()
}
