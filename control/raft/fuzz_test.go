package raft

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

var samplePeers = raft.Configuration{Servers: []raft.Server{
	{ID: "a@1f", Address: "a@1f"}, {ID: "b@2", Address: "b@2"}, {ID: "c@3", Address: "c@3", Suffrage: raft.Nonvoter},
}}

// sampleMessages is one message of each kind.
func sampleMessages() map[string]message {
	h := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("a@1f"), Addr: []byte("a@1f")}
	to := envelope{group: "a@1f", to: "b@2"}
	return map[string]message{
		methodAppend: {envelope: to, request: &raft.AppendEntriesRequest{
			RPCHeader: h, Term: 4, PrevLogEntry: 8, PrevLogTerm: 3, LeaderCommitIndex: 7, Entries: []*raft.Log{
				{Index: 9, Term: 3, Type: raft.LogCommand, Data: encodeCommand(swapOf("a", 1, 0, "group", "body")), AppendedAt: time.Unix(1, 2)},
				{Index: 10, Term: 4, Type: raft.LogNoop, Extensions: []byte("x")},
				{Index: 11, Term: 4, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(samplePeers)},
			},
		}},
		methodVote:    {envelope: to, request: &raft.RequestVoteRequest{RPCHeader: h, Term: 5, LastLogIndex: 9, LastLogTerm: 4, LeadershipTransfer: true}},
		methodPreVote: {envelope: to, request: &raft.RequestPreVoteRequest{RPCHeader: h, Term: 5, LastLogIndex: 9, LastLogTerm: 4}},
		methodTimeout: {envelope: to, request: &raft.TimeoutNowRequest{RPCHeader: h}},
		methodInstall: {envelope: to, body: sampleState().encode(), request: &raft.InstallSnapshotRequest{
			RPCHeader: h, SnapshotVersion: 1, Term: 5, LastLogIndex: 9, LastLogTerm: 4, ConfigurationIndex: 2,
			Configuration: raft.EncodeConfiguration(samplePeers), Size: int64(len(sampleState().encode())),
		}},
	}
}

func sampleState() *state {
	s := newState()
	s.apply(swapOf("a", 1, 0, "group", "body"))
	s.apply(swapOf("b", 1, 0, "group", "late"))
	s.apply(command{kind: commandClaim, op: operation{"x", 9, 1}, id: "x", life: 5})
	return s
}

func sampleAnswers() map[string]any {
	return map[string]any{
		methodAppend:  &raft.AppendEntriesResponse{Term: 4, LastLog: 9, Success: true, NoRetryBackoff: true},
		methodVote:    &raft.RequestVoteResponse{Term: 4, Granted: true},
		methodPreVote: &raft.RequestPreVoteResponse{Term: 4, Granted: true},
		methodTimeout: &raft.TimeoutNowResponse{},
		methodInstall: &raft.InstallSnapshotResponse{Term: 4, Success: true},
	}
}

func emptyAnswer(method string) any {
	return map[string]any{
		methodAppend: &raft.AppendEntriesResponse{}, methodVote: &raft.RequestVoteResponse{}, methodPreVote: &raft.RequestPreVoteResponse{},
		methodTimeout: &raft.TimeoutNowResponse{}, methodInstall: &raft.InstallSnapshotResponse{},
	}[method]
}

func sampleQuestion() question {
	return question{
		group: "a@1f", voters: voters(3), server: "c@3", applied: 7, name: "group", command: encodeCommand(swapOf("a", 1, 0, "group", "body")),
		have: []topology.Document{{Name: "group", Version: 3}}, claims: []claim{{"x", 1}},
	}
}

func sampleAnswer() answer {
	return answer{
		group: "a@1f", servers: []string{"a@1f", "b@2"}, result: result{codeConflict, 3},
		documents: []topology.Document{{Name: "group", Version: 3, Body: []byte("body")}}, gone: []claim{{"x", 1}},
	}
}

// readers reads any form that this package writes, and returns what it writes for
// what it has read.
func readers() map[string]func([]byte) ([]byte, error) {
	all := map[string]func([]byte) ([]byte, error){
		"command": func(b []byte) ([]byte, error) { c, err := decodeCommand(b); return encodeCommand(c), err },
		"state": func(b []byte) ([]byte, error) {
			s, err := decodeState(b)
			if err != nil {
				return nil, err
			}
			return s.encode(), nil
		},
		"snapshot": func(b []byte) ([]byte, error) {
			m, body, err := decodeSnapshot(b)
			if err != nil {
				return nil, err
			}
			return encodeSnapshot(*m, body), nil
		},
		"ballot":   func(b []byte) ([]byte, error) { v, err := decodeBallot(b); return encodeBallot(v), err },
		"founding": func(b []byte) ([]byte, error) { f, err := decodeFounding(b); return encodeFounding(f), err },
		"electors": func(b []byte) ([]byte, error) { e, err := decodeElectors(b); return encodeElectors(e), err },
		"question": func(b []byte) ([]byte, error) { q, err := decodeQuestion(b); return encodeQuestion(q), err },
		"reply":    func(b []byte) ([]byte, error) { a, err := decodeReply(b); return encodeReply(a), err },
	}
	for _, method := range messageMethods {
		all["answer of "+method] = func(b []byte) ([]byte, error) {
			a := emptyAnswer(method)
			if err := decodeAnswer(b, a); err != nil {
				return nil, err
			}
			return encodeAnswer(a)
		}
		all[method] = func(b []byte) ([]byte, error) {
			m, err := decodeMessage(method, b)
			if err != nil {
				return nil, err
			}
			return encodeMessage(m)
		}
	}
	return all
}

// forms is one of each form that this package writes.
func forms(t testing.TB) map[string][]byte {
	meta := raft.SnapshotMeta{Version: 1, ID: "4-9", Index: 9, Term: 4, Configuration: samplePeers, ConfigurationIndex: 2}
	all := map[string][]byte{
		"command":  encodeCommand(swapOf("a", 1, 0, "group", "body")),
		"state":    sampleState().encode(),
		"snapshot": encodeSnapshot(meta, sampleState().encode()),
		"ballot":   encodeBallot(ballot{term: 5, voteTerm: 4, voteFor: []byte("a@1f")}),
		"founding": encodeFounding(founding{group: "a@1f", voters: voters(3), servers: []string{"a@1f", "b@2", "c@3"}, started: true}),
		"electors": encodeElectors(electors{ids: voters(3), settled: true}),
		"question": encodeQuestion(sampleQuestion()),
		"reply":    encodeReply(sampleAnswer()),
	}
	for method, m := range sampleMessages() {
		b, err := encodeMessage(m)
		require.NoError(t, err)
		all[method] = b
	}
	for method, a := range sampleAnswers() {
		b, err := encodeAnswer(a)
		require.NoError(t, err)
		all["answer of "+method] = b
	}
	return all
}

// Format 1, which a later version must read. A golden file is added, never edited.
func TestTheFormsStay(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "forms.golden"))
	require.NoError(t, err)
	now := forms(t)
	for _, line := range strings.Split(strings.TrimSpace(string(golden)), "\n") {
		name, text, ok := strings.Cut(line, ": ")
		require.True(t, ok, line)
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		require.Equal(t, b, now[name], name)
		again, err := readers()[name](b)
		require.NoError(t, err, name)
		require.Equal(t, b, again, name)
		delete(now, name)
	}
	require.Empty(t, now, "forms without a golden line")
}

func TestAFormOfAnotherVersionIsRefused(t *testing.T) {
	for name, b := range forms(t) {
		at := 1
		if b[0] >= 0xdc {
			at = 3
		}
		require.Equal(t, byte(format), b[at], name)
		b[at]++
		_, err := readers()[name](b)
		require.ErrorContains(t, err, "format 2", name)
		_, err = readers()[name](b[:len(b)-1])
		require.Error(t, err, name)
	}
}

func FuzzForms(f *testing.F) {
	var names []string
	for _, method := range messageMethods {
		names = append(names, method, "answer of "+method)
	}
	names = append(names, "command", "state", "snapshot", "ballot", "founding", "question", "reply", "electors")
	all := forms(f)
	for i, name := range names {
		f.Add(uint8(i), all[name])
	}
	read := readers()
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		name := names[int(which)%len(names)]
		if name == "state" {
			// What stands in another order is read, and written in order.
			once, err := read[name](b)
			if err == nil {
				again, err := read[name](once)
				require.NoError(t, err)
				require.Equal(t, once, again)
			}
			return
		}
		again, err := read[name](b)
		if err == nil {
			require.Equal(t, b, again)
		}
	})
}
