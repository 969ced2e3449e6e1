package etcd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
)

// result is what a call returned.
type result struct {
	d   topology.Document
	err error
}

// swapping swaps in the background.
func swapping(ctx context.Context, c topology.Control, version uint64, body string) <-chan result {
	done := make(chan result, 1)
	go func() {
		d, err := c.Swap(ctx, topology.Document{Name: "group", Version: version, Body: []byte(body)})
		done <- result{d, err}
	}()
	return done
}

// through returns a member, a running backend that reaches it through a proxy, and
// one that reaches it directly; the document is at version 1.
func through(t *testing.T) (p *proxy, c, direct topology.Control) {
	t.Helper()
	m := servers(t, 1)[0]
	p = newProxy(t, m.Client)
	c, _ = running(t, newMemory(), etcd.Options{Endpoints: []string{p.at()}, RequestTimeout: patience})
	direct, _ = running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	swap(t, c, 0, "first")
	return p, c, direct
}

func TestASwapWhoseAnswerIsLostIsSettled(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(dropAnswers, "second")
	done := swapping(t.Context(), c, 1, "second")
	closes(t, hit, "the request came by")
	until(t, direct, "group", 2)
	p.cut()
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, uint64(2), r.d.Version)
	require.Equal(t, r.d, load(t, direct))
}

func TestASwapWhoseAnswerIsLostIsFoundAmongThoseThatFollowed(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(dropAnswers, "second")
	done := swapping(t.Context(), c, 1, "second")
	closes(t, hit, "the request came by")
	until(t, direct, "group", 2)
	for v := range uint64(15) {
		swap(t, direct, 2+v, "more")
	}
	p.cut()
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, topology.Document{Name: "group", Version: 2, Body: []byte("second")}, r.d, "what it made, not what followed")
	require.Equal(t, uint64(17), load(t, c).Version)
}

func TestASwapThatTooManyFollowedIsUnknown(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(dropAnswers, "second")
	done := swapping(t.Context(), c, 1, "second")
	closes(t, hit, "the request came by")
	until(t, direct, "group", 2)
	for v := range uint64(16) {
		swap(t, direct, 2+v, "more")
	}
	p.cut()
	r := <-done
	require.Error(t, r.err)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(r.err))
	require.NotErrorIs(t, r.err, topology.ErrConflict)
}

func TestARequestThatComesTwiceIsAppliedOnce(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(holdRequests, "second")
	done := swapping(t.Context(), c, 1, "second")
	closes(t, hit, "the request came by")
	p.cut() // and is made again on another connection
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, uint64(2), r.d.Version)
	swap(t, direct, 2, "third")
	p.release("document/group")
	require.Equal(t, topology.Document{Name: "group", Version: 3, Body: []byte("third")}, load(t, direct))
}

func TestASwapIsLostToAnotherWhileItsRequestWasHeld(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(holdRequests, "second")
	done := swapping(t.Context(), c, 1, "second")
	closes(t, hit, "the request came by")
	swap(t, direct, 1, "other")
	p.cut()
	r := <-done
	require.ErrorIs(t, r.err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(r.err))
	p.release("document/group")
	require.Equal(t, "other", string(load(t, direct).Body), "what is not applied never will be")
}

func TestASwapWhoseContextEndsBeforeItIsSettledIsUnknown(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"and took place": dropAnswers, "and does so later": holdRequests} {
		t.Run(name, func(t *testing.T) {
			p, c, direct := through(t)
			hit := p.arm(f, "second")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := swapping(ctx, c, 1, "second")
			closes(t, hit, "the request came by")
			if f == dropAnswers {
				until(t, direct, "group", 2)
			}
			cancel()
			r := <-done
			require.ErrorIs(t, r.err, topology.ErrTimeout)
			require.ErrorIs(t, r.err, context.Canceled)
			require.Equal(t, topology.Unknown, topology.OutcomeOf(r.err))
			require.LessOrEqual(t, load(t, direct).Version, uint64(2))
		})
	}
}

func TestAClaimWhoseAnswerIsLostIsSettled(t *testing.T) {
	t.Parallel()
	p, c, direct := through(t)
	hit := p.arm(dropAnswers, "name/b")
	type claimed struct {
		r   topology.Registration
		err error
	}
	done := make(chan claimed, 1)
	go func() {
		r, err := c.Register(t.Context(), "b")
		done <- claimed{r, err}
	}()
	closes(t, hit, "the request came by")
	etcds := raw(t, p.target)
	require.Eventually(t, func() bool {
		there, err := etcds.Get(t.Context(), "/triad/triad/name/b")
		return err == nil && len(there.Kvs) == 1
	}, patience, tick)
	_, err := direct.Register(t.Context(), "b")
	require.ErrorIs(t, err, topology.ErrConflict)
	p.cut()
	r := <-done
	require.NoError(t, r.err)
	require.NotZero(t, r.r.Number())
	require.True(t, isOpen(r.r.Lost()))
	require.NoError(t, r.r.Close())
	other, err := direct.Register(t.Context(), "b")
	require.NoError(t, err)
	require.Greater(t, other.Number(), r.r.Number())
	require.NoError(t, other.Close())
}

// TestNoSwapIsLostOrMadeTwiceUnderFaults counts in a document from several nodes,
// whose connections break in the place of every few answers: a lost update, or a
// Swap that was made twice or is wrong about itself, shows in the sum.
func TestNoSwapIsLostOrMadeTwiceUnderFaults(t *testing.T) {
	t.Parallel()
	const nodes, rounds = 4, 8
	m := servers(t, 1)[0]
	var wait sync.WaitGroup
	for i := range nodes {
		p := newProxy(t, m.Client)
		p.cutEvery(7 + 2*i)
		c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{p.at()}})
		wait.Go(func() {
			for done := 0; done < rounds; {
				d, err := c.Load(t.Context(), "count")
				if err == nil {
					d.Body = binary.BigEndian.AppendUint64(nil, number(d)+1)
					_, err = c.Swap(t.Context(), d)
				}
				switch {
				case err == nil:
					done++
				case errors.Is(err, topology.ErrConflict), topology.OutcomeOf(err) == topology.NotApplied && errors.Is(err, topology.ErrUnavailable):
				default:
					t.Errorf("neither won nor lost: %v", err)
					return
				}
			}
		})
	}
	wait.Wait()
	direct := on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	d, err := direct.Load(t.Context(), "count")
	require.NoError(t, err)
	require.Equal(t, uint64(nodes*rounds), d.Version)
	require.Equal(t, uint64(nodes*rounds), number(d))
}

func number(d topology.Document) uint64 {
	if len(d.Body) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(d.Body)
}
