package multileader

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestAWriteReachesEverySite(t *testing.T) {
	c := newCluster(t, Options{Group: groupOf(quorum.First(1))}, 2, "us", "eu", "ap")
	c.startAll()
	w, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	for _, id := range []topology.NodeID{"us2", "eu1", "eu2", "ap1", "ap2"} {
		got, err := c.nodes[id].get("k", topology.ReadOptions{Guarantee: topology.ReadSession, After: w.Token})
		require.NoError(t, err, id)
		require.Equal(t, "v", got)
	}
	c.converged()
}

func TestConcurrentWritesConvergeAndTheLoserIsKept(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu", "ap")
	c.startAll()
	c.apart("us", "eu", true)
	c.apart("us", "ap", true)
	c.apart("eu", "ap", true)
	_, err := c.nodes["us1"].put("k", "of us")
	require.NoError(t, err)
	_, err = c.nodes["eu1"].put("k", "of eu")
	require.NoError(t, err)
	last, err := c.nodes["ap1"].put("k", "of ap")
	require.NoError(t, err)
	c.apart("us", "eu", false)
	c.apart("us", "ap", false)
	c.apart("eu", "ap", false)
	c.converged()
	for _, n := range c.nodes {
		got, err := n.get("k", topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "of ap", got)
		lost := map[string]bool{}
		for x, err := range n.Conflicts(t.Context(), 0) {
			require.NoError(t, err)
			require.Equal(t, topology.InsertInsert, x.Type)
			for _, v := range x.Losers {
				require.NotEqual(t, last.Dot, v.Dot)
				lost[string(v.Value)] = true
			}
		}
		require.Equal(t, map[string]bool{"of us": true, "of eu": true}, lost, n.id)
	}
}

func TestASiteGoesOnUnderItsNextLeader(t *testing.T) {
	c := newCluster(t, Options{Group: groupOf(quorum.First(2))}, 3, "us", "eu")
	c.startAll()
	for i := range 20 {
		_, err := c.nodes["us1"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	origin := c.nodes["us1"].own()
	c.nodes["us1"].crash()
	c.nodes["us1"].cancel = nil
	_, err := c.nodes["us2"].Promote(t.Context(), false)
	require.NoError(t, err)
	c.nodes["us1"].start()
	c.leads("us2")
	require.Equal(t, origin, c.nodes["us2"].own(), "it has all that was committed")
	w, err := c.nodes["us2"].put("after", "v")
	require.NoError(t, err)
	_, err = c.nodes["eu1"].get("after", topology.ReadOptions{Guarantee: topology.ReadSession, After: w.Token})
	require.NoError(t, err)
	c.converged()
}

func TestASiteThatWasLedByForceTakesANewOrigin(t *testing.T) {
	c := newCluster(t, Options{}, 2, "us", "eu")
	c.startAll()
	before, err := c.nodes["us1"].put("k", "1")
	require.NoError(t, err)
	require.NoError(t, c.nodes["us2"].wait(before.Token)) // else eu may have more than us2, and say so
	c.nodes["us1"].stop()
	_, err = c.nodes["us2"].Promote(t.Context(), true)
	require.NoError(t, err)
	c.leads("us2")
	after, err := c.nodes["us2"].put("k", "2")
	require.NoError(t, err)
	require.Equal(t, before.Dot.Origin.ID, after.Dot.Origin.ID)
	require.Greater(t, after.Dot.Origin.Incarnation, before.Dot.Origin.Incarnation, "nobody knows what is lost")
	c.nodes["us1"].start()
	c.converged()
}

func TestARestartedSiteKeepsItsOriginAndItsSequence(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	before, err := c.nodes["us1"].put("k", "1")
	require.NoError(t, err)
	c.nodes["us1"].crash()
	c.nodes["us1"].start()
	c.leads("us1")
	after, err := c.nodes["us1"].put("k", "2")
	require.NoError(t, err)
	require.Equal(t, before.Dot.Origin, after.Dot.Origin)
	require.Equal(t, before.Dot.Seq+1, after.Dot.Seq)
	c.converged()
}

func TestASiteThatLostItsDiskIsAnotherOneAndGetsEverythingBack(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	w, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	_, err = c.nodes["eu1"].get("k", topology.ReadOptions{Guarantee: topology.ReadSession, After: w.Token})
	require.NoError(t, err)
	c.nodes["us1"].stop()
	require.NoError(t, c.nodes["us1"].fs.RemoveAll("/us1"))
	time.Sleep(1100 * time.Millisecond) // the time of day tells lives apart, by the second
	c.nodes["us1"].start()
	c.leads("us1")
	var again topology.Receipt
	eventually(t, "us has back what eu had of it, and takes writes", func() bool {
		again, err = c.nodes["us1"].put("new", "v")
		require.True(t, err == nil || errors.Is(err, topology.ErrUnavailable), "%v", err)
		return err == nil
	})
	require.NotEqual(t, w.Dot.Origin, again.Dot.Origin)
	c.converged()
	got, err := c.nodes["us1"].get("k", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "v", got)
}

func TestASessionWaitsForWhatItHasSeenElsewhere(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.apart("us", "eu", true)
	w, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err = c.nodes["eu1"].Wait(ctx, w.Token)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.ErrorContains(t, err, "us")
	read := make(chan error, 1)
	go func() { read <- c.nodes["eu1"].Wait(t.Context(), w.Token) }()
	c.apart("us", "eu", false)
	require.NoError(t, <-read)
}

func TestASiteThatWasAwayGetsWhatItLacks(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	write := func(n int) {
		for i := range n {
			_, err := c.nodes["us1"].put(fmt.Sprint("k", i), fmt.Sprint(n, " ", i))
			require.NoError(t, err)
		}
	}
	write(2*placesEvery + 10)
	c.converged()
	for range 3 {
		c.nodes["eu1"].crash()
		write(2*placesEvery - 20)
		c.nodes["eu1"].start()
		c.leads("eu1")
		c.converged()
	}
}

func TestANodeThatFollowsNamesTheLeaderOfItsSite(t *testing.T) {
	c := newCluster(t, Options{Group: groupOf(quorum.First(1))}, 2, "us", "eu")
	c.startAll()
	_, err := c.nodes["eu2"].put("k", "v")
	var refused *topology.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, topology.NotApplied, refused.Outcome)
	require.Equal(t, topology.NodeID("eu1"), refused.Leader)
}

func TestARecordThatDoesNotFitItsTableChangesNothingAndIsListed(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	us := c.nodes["us1"]
	// A site of another version takes what this one does not.
	require.True(t, us.loop.call(func() {
		b := record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte("k"), Field: []byte("f"), Op: record.OpPut, Kind: record.KindSet}}}
		us.perform(us.reign.core.Step(core.Event{Kind: core.EvWrite, Now: time.Now(), Writes: []record.Batch{b}}), []*write{{}})
		_, err := us.flush()
		require.NoError(t, err)
	}))
	w, err := us.put("after", "v")
	require.NoError(t, err)
	for _, n := range c.nodes {
		require.NoError(t, n.wait(w.Token))
		_, err := n.get("k", topology.ReadOptions{})
		require.ErrorIs(t, err, topology.ErrNotFound)
		listed := 0
		for x, err := range n.Conflicts(t.Context(), 0) {
			require.NoError(t, err)
			require.Equal(t, "k", string(x.Cell.Key))
			require.Empty(t, x.Winner)
			listed++
		}
		require.Equal(t, 1, listed, n.id)
	}
	c.converged()
}

func TestConditionsAndCountsHoldOverWhatIsNotCommittedYet(t *testing.T) {
	c := newCluster(t, Options{Group: groupOf(quorum.Any(1))}, 2, "us")
	c.startAll()
	us := c.nodes["us1"]
	_, err := us.put("other", "v")
	require.NoError(t, err)
	c.nodes["us2"].stop() // nothing is committed
	before := us.log.Bounds().End
	create := batchOf("k", "v")
	create.Conditions = []record.Condition{{Cell: record.Cell{Table: record.TableDefault, Key: []byte("k")}, Absent: true}}
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			_, err := us.Write(t.Context(), create, topology.WriteOptions{})
			errs <- err
		}()
	}
	eventually(t, "one waits, and the others are refused", func() bool {
		return us.log.Bounds().End > before && len(errs) >= cap(errs)-1 || us.log.Bounds().End > before+1
	})
	require.Equal(t, before+1, us.log.Bounds().End)
	c.nodes["us2"].start()
	done := 0
	for range cap(errs) {
		if err := <-errs; err == nil {
			done++
		} else {
			require.ErrorIs(t, err, topology.ErrConditionFailed)
		}
	}
	require.Equal(t, 1, done)
}
