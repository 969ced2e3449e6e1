package raft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// seat is a voter that runs: raft, and what is done beside it.
type seat struct {
	control *Control
	raft    *raft.Raft
	machine *machine
	logs    *logStore
	lines   *lines
	turns   chan struct{} // taken by changes that raft has in hand
	leases  leases
	handing time.Time // when it last tried to hand over; the working goroutine's, as is turn
	turn    int
	moving  crew

	gone     atomic.Bool // others are led by somebody, and this voter is not
	electing sync.Mutex  // held while a voter is being removed
	elected  time.Time   // when that was last looked at; whoever holds electing
}

// leader returns who leads, as far as this voter knows.
func (s *seat) leader() topology.NodeID {
	addr, _ := s.raft.LeaderWithID()
	return nodeOf(addr)
}

// leads reports whether this voter leads, and is of use as a leader.
func (s *seat) leads() bool { return s.raft.State() == raft.Leader && !s.lines.mute.Load() }

// notLeader is the error of who is asked and does not lead.
func (s *seat) notLeader(op string, why error) error {
	e := &topology.Error{Op: op, Node: s.control.env.Self, Outcome: topology.NotApplied, Err: topology.ErrNotLeader, Leader: s.leader()}
	if e.Leader == e.Node {
		e.Leader = ""
	}
	if why != nil {
		e.Err = fmt.Errorf("%w: %w", topology.ErrNotLeader, why)
	}
	return e
}

// wait asks raft for something and waits for it. raft's futures know no context, and
// one may stay open as long as a disk hangs; then its goroutine stays too, until
// raft ends, and there are at most so many. ask does not wait itself.
func (s *seat) wait(ctx context.Context, ask func() raft.Future) error {
	select {
	case s.turns <- struct{}{}:
	default:
		return fail("control", topology.NotApplied, fmt.Errorf("%d questions are in hand: %w", answeredMax, topology.ErrOverloaded))
	}
	done := make(chan error, 1)
	if !s.moving.begin(func() {
		done <- s.lines.await(ask())
		<-s.turns
	}) {
		<-s.turns
		return errLeft
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
}

// errLeft is what is said of a question that raft was not asked.
var errLeft = fail("control", topology.NotApplied, fmt.Errorf("this voter has ended: %w", topology.ErrUnavailable))

// propose makes a command an entry of the log, and returns what became of it.
func (s *seat) propose(ctx context.Context, bytes []byte) (result, error) {
	if !s.leads() {
		return result{}, s.notLeader("swap", nil)
	}
	bytes = append([]byte(nil), bytes...)
	applied := make(chan raft.ApplyFuture, 1)
	err := s.wait(ctx, func() raft.Future {
		f := s.raft.Apply(bytes, s.control.timing.attempt)
		applied <- f
		return f
	})
	switch {
	case err == nil:
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		// raft says these of what it has not put in its log.
		return result{}, s.notLeader("swap", err)
	case errors.Is(err, topology.ErrOverloaded), errors.Is(err, errLeft):
		return result{}, err
	default: // also ErrLeadershipLost: the next leader may have it
		return result{}, fail("swap", topology.Unknown, fmt.Errorf("%w: %w", topology.ErrUnavailable, err))
	}
	switch r := (<-applied).Response().(type) {
	case result:
		return r, nil
	case error:
		return result{}, fail("swap", topology.NotApplied, r)
	}
	return result{}, fail("swap", topology.Unknown, fmt.Errorf("raft gives no answer: %w", topology.ErrUnavailable))
}

// settle returns once this voter's state holds all that was committed before the
// call, or an error if it does not lead. The commit index is read first; then a
// majority confirms that nobody else led meanwhile; and the entry at that index is
// of this term, or a leader that has just begun would not know how far its
// predecessors have committed.
func (s *seat) settle(ctx context.Context) error {
	term := s.raft.CurrentTerm()
	if !s.leads() {
		return s.notLeader("load", nil)
	}
	index := s.raft.CommitIndex()
	var g raft.Log
	if err := s.logs.GetLog(index, &g); err != nil || g.Term != term {
		return fail("load", topology.NotApplied, fmt.Errorf("the term has just begun: %w", topology.ErrUnavailable))
	}
	if err := s.wait(ctx, func() raft.Future { return s.raft.VerifyLeader() }); err != nil {
		return s.notLeader("load", err)
	}
	if s.raft.CurrentTerm() != term || !s.leads() {
		return s.notLeader("load", nil)
	}
	return s.catchUp(ctx, index)
}

// catchUp waits until the last command at or before index is applied. Entries that
// are no commands never reach the machine, so index itself may not.
func (s *seat) catchUp(ctx context.Context, index uint64) error {
	applied, _ := s.machine.at()
	for ; index > applied; index-- {
		var g raft.Log
		if err := s.logs.GetLog(index, &g); errors.Is(err, raft.ErrLogNotFound) {
			return nil // a snapshot holds it, and was restored
		} else if err != nil {
			return fail("load", topology.NotApplied, err)
		}
		if g.Type == raft.LogCommand {
			break
		}
	}
	for {
		applied, moved := s.machine.at()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-s.lines.done:
			return fail("load", topology.NotApplied, fmt.Errorf("this voter has ended: %w", topology.ErrUnavailable))
		case <-ctx.Done():
			return fail("load", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
		}
	}
}

// work does what has to be done from time to time, until ctx ends or this voter has
// no place any more.
func (s *seat) work(ctx context.Context) error {
	t := time.NewTicker(s.control.timing.beat)
	defer t.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	asking.Go(func() { listener{s}.listen(ctx) })
	admitted := make(chan struct{}, 1) // holds a token while a question is under way
	alone := func(f func()) {
		select {
		case admitted <- struct{}{}:
			asking.Go(func() { f(); <-admitted })
		default:
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.control.disk.stable.failed:
			return err
		case <-t.C:
		}
		if s.raft.State() == raft.Shutdown {
			return s.ended()
		}
		s.watchDisk()
		switch own, votes := s.place(); {
		case electing{s.control}.isDismissed() && (own == "" || s.gone.Load()):
			return errDismissed
		case own == "" && electing{s.control}.isElected(): // it was dismissed, and is to vote again
			alone(func() { s.control.seekAdmission(ctx, s.raft.AppliedIndex()) })
		case own != s.control.self.id() && founder{s.control}.counted():
			return s.ended()
		case votes && !founder{s.control}.counted():
			if err := (founder{s.control}).count(); err != nil {
				return err
			}
		case !votes:
			alone(func() { s.control.seekAdmission(ctx, s.raft.AppliedIndex()) })
		}
		switch {
		case s.leads():
			s.steer(ctx)
			s.elect(ctx)
		case s.leader() == "":
			alone(func() { s.inquire(ctx) })
		}
		s.keepLeases(ctx)
	}
}

// ended says why this voter cannot go on.
func (s *seat) ended() error {
	if own, _ := s.place(); own != s.control.self.id() {
		return fmt.Errorf("control: the voter %v was replaced by %s: this directory has no vote any more: %w", s.control.self, cmp.Or(string(own), "none"), topology.ErrFailed)
	}
	return fmt.Errorf("control: raft has ended by itself: %w", topology.ErrFailed)
}

// place returns the server of this node in the newest configuration that this voter
// knows, and whether it is this very one and has a vote.
func (s *seat) place() (own raft.ServerID, votes bool) {
	f := s.raft.GetConfiguration()
	if f.Error() != nil {
		return "", false
	}
	for _, v := range f.Configuration().Servers {
		if nodeOf(v.ID) == s.control.env.Self {
			return v.ID, v.ID == s.control.self.id() && v.Suffrage == raft.Voter
		}
	}
	return "", false
}

// watchDisk makes a leader mute whose disk hangs. raft's heartbeats do not touch the
// disk, so such a leader would lead for ever and commit nothing; and it can hand
// nothing over, as the loop that would do so is the one that waits for the disk
// (hashicorp/raft#503, #683). When it is mute, the others elect one of their own.
func (s *seat) watchDisk() {
	hung := len(electing{s.control}.voters()) > 1 && s.logs.hung() > s.control.timing.stall
	if s.lines.mute.Swap(hung) != hung && hung {
		s.control.logger.Warn("control: the disk of this voter hangs; another one is to lead", "for", s.logs.hung())
	}
}

// leave ends raft and waits for everything that was started for it.
func (s *seat) leave() error {
	close(s.control.disk.stable.closes)
	err := s.raft.Shutdown().Error()
	close(s.lines.done)
	s.moving.end()
	return err
}
