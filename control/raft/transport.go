package raft

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// lines are raft's transport: each of its messages is one call, bounded in size by
// what the decoders take and in time by the heartbeat. There is no pipeline; raft
// does without where it is told so, and documents that change a few times a day
// need none.
//
// Heartbeats take the way of every other message. In the versions of raft that
// exist (1.7.3 is in use, 1.8.0 the newest), a transport that honours
// SetHeartbeatHandler runs it beside the main loop, where it reads and changes what
// that loop owns: term and leader may change between its look and its answer, and
// logs have diverged in tests with injected faults (hashicorp/raft#695). The
// contract of raft.Transport allows to ignore the call, as raft's own in-memory
// transport does. The price: a heartbeat waits behind a sync, so the heartbeat
// time-out must exceed what the disk needs for one.
type lines struct {
	self     server
	group    string
	timing   timing
	consumer chan raft.RPC
	done     chan struct{} // closed once nobody takes messages any more
	// call calls another voter within a time and the life of Run.
	call func(to topology.NodeID, method string, req []byte, within time.Duration) ([]byte, error)
	mute atomic.Bool // a leader that is mute keeps nobody from electing another
}

var (
	_ raft.Transport   = (*lines)(nil)
	_ raft.WithPreVote = (*lines)(nil)
)

// Consumer implements raft.Transport.
func (l *lines) Consumer() <-chan raft.RPC { return l.consumer }

// LocalAddr implements raft.Transport.
func (l *lines) LocalAddr() raft.ServerAddress { return l.self.address() }

// EncodePeer implements raft.Transport.
func (l *lines) EncodePeer(_ raft.ServerID, addr raft.ServerAddress) []byte { return []byte(addr) }

// DecodePeer implements raft.Transport.
func (l *lines) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport by ignoring it; see there.
func (l *lines) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntriesPipeline implements raft.Transport.
func (l *lines) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries implements raft.Transport.
func (l *lines) AppendEntries(id raft.ServerID, _ raft.ServerAddress, q *raft.AppendEntriesRequest, a *raft.AppendEntriesResponse) error {
	if l.mute.Load() {
		return errMute
	}
	return l.ask(id, methodAppend, q, nil, a, l.timing.message)
}

// RequestVote implements raft.Transport.
func (l *lines) RequestVote(id raft.ServerID, _ raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	return l.ask(id, methodVote, q, nil, a, l.timing.message)
}

// RequestPreVote implements raft.WithPreVote.
func (l *lines) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	return l.ask(id, methodPreVote, q, nil, a, l.timing.message)
}

// TimeoutNow implements raft.Transport.
func (l *lines) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, q *raft.TimeoutNowRequest, a *raft.TimeoutNowResponse) error {
	return l.ask(id, methodTimeout, q, nil, a, l.timing.message)
}

// InstallSnapshot implements raft.Transport: a snapshot fits one call.
func (l *lines) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, q *raft.InstallSnapshotRequest, a *raft.InstallSnapshotResponse, data io.Reader) error {
	body, err := io.ReadAll(io.LimitReader(data, snapshotBytesMax+1))
	if err != nil {
		return err
	}
	if len(body) > snapshotBytesMax {
		return fmt.Errorf("control: a snapshot of more than %d bytes: %w", snapshotBytesMax, topology.ErrTooLarge)
	}
	return l.ask(id, methodInstall, q, body, a, l.timing.install)
}

func (l *lines) ask(id raft.ServerID, method string, request any, body []byte, answer any, within time.Duration) error {
	req, err := encodeMessage(message{envelope{l.group, string(id)}, request, body})
	if err != nil {
		return err
	}
	b, err := l.call(nodeOf(id), method, req, within)
	if err != nil {
		return err
	}
	return decodeAnswer(b, answer)
}

// take answers a message of another voter: it hands it to raft and waits.
func (l *lines) take(ctx context.Context, from topology.Peer, method string, req []byte) ([]byte, error) {
	m, err := decodeMessage(method, bytes.Clone(req)) // raft keeps entries longer than the call lasts
	switch {
	case err != nil:
		return nil, fail(method, topology.NotApplied, fmt.Errorf("a message of %s: %w", from.ID, err))
	case m.group != l.group:
		return nil, fail(method, topology.NotApplied, fmt.Errorf("%s belongs to the voters that %s founded, this node to those of %s: %w", from.ID, m.group, l.group, topology.ErrDenied))
	case m.to != l.self.String():
		return nil, fail(method, topology.NotApplied, fmt.Errorf("this is %v, not %s: its directory is another one: %w", l.self, m.to, topology.ErrDenied))
	case senderOf(m.request) != (server{from.ID, from.Life}):
		return nil, fail(method, topology.NotApplied, fmt.Errorf("%s with life %x speaks for %v: %w", from.ID, from.Life, senderOf(m.request), topology.ErrDenied))
	}
	answers := make(chan raft.RPCResponse, 1)
	rpc := raft.RPC{Command: m.request, RespChan: answers}
	if method == methodInstall {
		rpc.Reader = bytes.NewReader(m.body)
	}
	select {
	case l.consumer <- rpc:
	case <-l.done:
		return nil, fail(method, topology.NotApplied, fmt.Errorf("this voter has ended: %w", topology.ErrUnavailable))
	case <-ctx.Done():
		return nil, fail(method, topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	}
	select {
	case a := <-answers:
		if a.Error != nil {
			return nil, fail(method, topology.Unknown, a.Error)
		}
		return encodeAnswer(a.Response)
	case <-l.done:
		return nil, fail(method, topology.Unknown, fmt.Errorf("this voter has ended: %w", topology.ErrUnavailable))
	case <-ctx.Done():
		return nil, fail(method, topology.Unknown, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
	}
}

// senderOf returns the server that a request says it is of.
func senderOf(request any) server {
	h, ok := request.(raft.WithRPCHeader)
	if !ok {
		return server{}
	}
	s, _ := parseServer(string(h.GetRPCHeader().ID)) // the decoder has seen that it is one
	return s
}
