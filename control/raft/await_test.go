package raft

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// A voter ends while questions to raft still wait in its queue, which nobody reads
// any more: none may keep the voter from ending.
func TestAVoterEndsWithQuestionsThatRaftLeavesUnanswered(t *testing.T) {
	r, _, logs := crookedRig(t, Options{Voters: voters(1)}, voters(1)...)
	p := r.start("a")
	leader(t, p)
	seat := p.sits()
	release := logs["a"].hold()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := seat.propose(ctx, nil) // raft's loop waits for the disk with it
	require.ErrorIs(t, err, context.DeadlineExceeded)
	const questions = 5
	asked := make(chan error, questions)
	for range questions {
		require.ErrorIs(t, seat.wait(ctx, func() raft.Future {
			f := seat.raft.VerifyLeader()
			asked <- nil
			return f
		}), context.DeadlineExceeded)
	}
	for range questions {
		<-asked
	}
	ended := make(chan error, 1)
	go func() { ended <- p.stop() }()
	eventually(t, "raft is told to end", func() bool { return seat.raft.State() == raft.Shutdown })
	release()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("it waits for answers that never come")
	}
}

func TestEveryFutureThatIsWaitedForCanBeGivenUp(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, voters(1)...)
	p := r.start("a")
	leader(t, p)
	seat, gone := p.sits(), &lines{done: make(chan struct{})}
	close(gone.done)
	for name, f := range map[string]raft.Future{
		"apply":    seat.raft.Apply(nil, time.Second),
		"verify":   seat.raft.VerifyLeader(),
		"add":      seat.raft.AddNonvoter("x", "x", 0, time.Second),
		"remove":   seat.raft.RemoveServer("x", 0, time.Second),
		"transfer": seat.raft.LeadershipTransferToServer("x", "x"),
	} {
		_ = gone.await(f)
		require.True(t, endOf(f).IsValid(), "%s: raft has changed what its futures are made of", name)
	}
}

// Calls of other nodes last longer than the voter they ask: none starts what nobody
// would wait for.
func TestAVoterThatHasEndedAsksRaftNothing(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, voters(1)...)
	p := r.start("a")
	leader(t, p)
	seat := p.sits()
	require.NoError(t, p.stop())
	for range answeredMax + 1 {
		require.ErrorIs(t, seat.wait(t.Context(), func() raft.Future {
			t.Error("raft is asked")
			return seat.raft.VerifyLeader()
		}), errLeft)
	}
}
