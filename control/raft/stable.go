package raft

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Names of documents beside the log.
const (
	stableVote     = "control/raft.vote"
	stableSnapshot = "control/raft.snapshot"
	stableFounding = "control/raft.founding"
)

// The keys that raft keeps, as in its raft.go.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVoteFor  = "LastVoteCand"
)

// ballot is what a voter must not forget.
type ballot struct {
	term     uint64
	voteTerm uint64
	voteFor  []byte
}

// stableStore keeps term and vote in one document, written whole.
//
// raft notes a vote in two calls: first the term of the vote, then for whom it is.
// With a store that writes each at once, a crash between the two leaves the new
// term beside the candidate of an older one, and the voter believes after its
// restart that it has voted for that one (hashicorp/raft#661; whether that can do
// harm is disputed there). Here nobody has to decide it: the term of a vote waits
// in memory for its candidate, and both become durable together. raft answers only
// after the second call, so a crash before it is a vote that was never given.
//
// raft panics where it cannot note a term (setCurrentTerm in its raft.go), which would
// take the whole program along, other groups and the caller's own work included. So a
// term is not refused: where the disk has no room it is tried again, as if the disk
// hung, and where the disk has failed raft's goroutine ends, and with it the voter.
type stableStore struct {
	stable topology.Stable
	failed chan error    // takes the failure that has ended raft's goroutine
	closes chan struct{} // closed once raft is to end

	mu   sync.Mutex // held over the write: raft alone calls, from one goroutine
	kept ballot
	term uint64 // of the vote whose candidate is to come; 0: none is
}

var _ raft.StableStore = (*stableStore)(nil)

func openStableStore(s topology.Stable) (*stableStore, error) {
	b, err := s.Load(stableVote)
	if err != nil {
		return nil, fmt.Errorf("control: the vote: %w", err)
	}
	st := &stableStore{stable: s, failed: make(chan error, 1), closes: make(chan struct{})}
	if b == nil {
		return st, nil
	}
	if st.kept, err = decodeBallot(b); err != nil {
		return nil, fmt.Errorf("control: the vote: %w", err)
	}
	return st, nil
}

// A ballot is an array of four: format, term, term of the vote, candidate.
func encodeBallot(b ballot) []byte {
	w := pack.NewWriter(nil)
	w.Array(4)
	w.Uint(format)
	w.Uint(b.term)
	w.Uint(b.voteTerm)
	w.Bin(b.voteFor)
	return w.Bytes()
}

func decodeBallot(p []byte) (ballot, error) {
	r := pack.NewReader(p)
	r.ArrayOf(4)
	getFormat(&r)
	b := ballot{term: r.Uint(), voteTerm: r.Uint(), voteFor: append([]byte(nil), r.BinMax(serverBytesMax)...)}
	return b, r.Done()
}

func (s *stableStore) save(b ballot) error {
	if err := s.stable.Save(stableVote, encodeBallot(b)); err != nil {
		return fmt.Errorf("control: the vote: %w", err)
	}
	s.kept = b
	return nil
}

// Set implements raft.StableStore.
func (s *stableStore) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyVoteFor || s.term == 0 {
		return fmt.Errorf("control: raft keeps %q, which this version does not expect: %w", key, topology.ErrUnsupported)
	}
	b := ballot{term: s.kept.term, voteTerm: s.term, voteFor: append([]byte(nil), value...)}
	err := s.save(b)
	if err == nil {
		s.term = 0
	}
	return err
}

// Get implements raft.StableStore.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyVoteFor {
		return nil, nil
	}
	return s.kept.voteFor, nil
}

// SetUint64 implements raft.StableStore.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyVoteTerm:
		s.term = value
		return nil
	case keyTerm:
		b := s.kept
		b.term = value
		s.must(b)
		return nil
	}
	return fmt.Errorf("control: raft keeps %q, which this version does not expect: %w", key, topology.ErrUnsupported)
}

// roomEvery is the pause before a disk without room is tried again.
const roomEvery = 100 * time.Millisecond

// must saves b, or ends the goroutine it is called on.
func (s *stableStore) must(b ballot) {
	t := time.NewTimer(roomEvery)
	defer t.Stop()
	for {
		err := s.save(b)
		switch {
		case err == nil:
			return
		case !errors.Is(err, topology.ErrDiskFull) || errors.Is(err, topology.ErrFailed):
			s.failed <- err
			runtime.Goexit()
		}
		t.Reset(roomEvery)
		select {
		case <-t.C:
		case <-s.closes:
			runtime.Goexit()
		}
	}
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyTerm:
		return s.kept.term, nil
	case keyVoteTerm:
		return s.kept.voteTerm, nil
	}
	return 0, nil
}
