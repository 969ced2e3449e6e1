package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

func TestAWatchGoesOnAtAnotherNodeWithoutAGap(t *testing.T) {
	nodes := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := dial(t, nodes[0].addr, nodes[1].addr, nodes[2].addr)
	_, err := c.Put(ctx, "default", []byte("k0"), []byte("v"), client.Durability(topology.Applied))
	require.NoError(t, err)
	watcher := dial(t, nodes[0].addr, nodes[1].addr, nodes[2].addr)
	var got []string
	var lsn uint64
	for ch, err := range watcher.Watch(ctx, "default", client.WatchOptions{State: true, Prefix: []byte("k")}) {
		require.NoError(t, err)
		if ch.Kind == topology.ChangeWrite {
			require.Greater(t, uint64(ch.Token.LSN), lsn)
			lsn = uint64(ch.Token.LSN)
		}
		for _, k := range ch.Keys {
			got = append(got, string(k.Key))
		}
		if len(got) == 40 {
			break
		}
		switch n := len(got); {
		case ch.Kind == topology.ChangeState:
		case n == 20: // the node that is watched, and leads, goes away
			require.NoError(t, nodes[0].end())
			require.Eventually(t, func() bool {
				for _, n := range nodes[1:] {
					if _, err := c.Promote(ctx, n.addr, false); err == nil {
						return true
					}
				}
				return false
			}, patience, time.Millisecond)
			fallthrough
		default:
			_, err := c.Put(ctx, "default", fmt.Appendf(nil, "k%d", n), []byte("v"))
			require.NoError(t, err)
		}
	}
	for i, k := range got {
		require.Equal(t, fmt.Sprint("k", i), k)
	}
	require.Len(t, got, 40)
}

func TestASlotIsOpenedAtAFollowerAndKeptByTheLeader(t *testing.T) {
	nodes := cluster(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := dial(t, nodes[0].addr)
	_, err := c.Put(ctx, "default", []byte("k0"), []byte("v"), client.Durability(topology.Applied))
	require.NoError(t, err)
	follow := func(addr string, state bool, want ...string) {
		t.Helper()
		var got []string
		for ch, err := range dial(t, addr).Watch(ctx, "default", client.WatchOptions{State: state, Slot: "s", Prefix: []byte("k")}) {
			require.NoError(t, err)
			for _, k := range ch.Keys {
				got = append(got, string(k.Key))
			}
			if len(got) == len(want) && !ch.Token.IsZero() && ch.Kind == topology.ChangeWrite {
				break
			}
			if ch.Kind == topology.ChangePosition && state {
				state = false
				for _, k := range []string{"k1", "k2"} {
					_, err := c.Put(ctx, "default", []byte(k), []byte("v"))
					require.NoError(t, err)
				}
			}
		}
		require.Equal(t, want, got)
	}
	// b may not have k0 yet: it comes with the state or after it.
	require.NoError(t, nodes[1].Wait(ctx, tokenOf(t, ctx, c)))
	follow(nodes[1].addr, true, "k0", "k1", "k2")
	require.Eventually(t, func() bool { // k1 was consumed, k2 not: its loop ended there
		all, err := c.Operator().Slots(ctx)
		require.NoError(t, err)
		return len(all) == 1 && all[0].Synced && all[0].Token.LSN > 0 && all[0].Claim == 1
	}, patience, time.Millisecond)
	at := slotOf(t, ctx, c)
	require.Eventually(t, func() bool { at = slotOf(t, ctx, c); return at.Token.LSN > 2 }, patience, time.Millisecond)
	require.NoError(t, nodes[2].Wait(ctx, tokenOf(t, ctx, c)))
	var got []string
	for ch, err := range dial(t, nodes[2].addr).Watch(ctx, "default", client.WatchOptions{Slot: "s", Prefix: []byte("k")}) {
		require.NoError(t, err)
		if ch.Kind == topology.ChangeWrite {
			got = append(got, string(ch.Keys[0].Key))
		}
		if len(got) > 0 && got[len(got)-1] == "k2" {
			break
		}
	}
	require.Equal(t, "k2", got[len(got)-1], "what was not consumed comes again")
	require.NotContains(t, got, "k0")
	require.NoError(t, c.Operator().DropSlot(ctx, "s"))
	require.ErrorIs(t, c.Operator().DropSlot(ctx, "s"), topology.ErrNotFound)
}

func tokenOf(t *testing.T, ctx context.Context, c *client.Client) topology.Token {
	r, err := c.Get(ctx, "default", []byte("k0"))
	require.NoError(t, err)
	return r.Token
}

func slotOf(t *testing.T, ctx context.Context, c *client.Client) client.Slot {
	all, err := c.Operator().Slots(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestAWatchThatIsRefusedSaysWhy(t *testing.T) {
	nodes := cluster(t, 1)
	c := dial(t, nodes[0].addr)
	last := func(ctx context.Context, table string, o client.WatchOptions) (last error) {
		for _, err := range c.Watch(ctx, table, o) {
			last = err
		}
		return last
	}
	require.ErrorIs(t, last(t.Context(), "nobody", client.WatchOptions{}), topology.ErrNoTable)
	require.ErrorIs(t, last(t.Context(), "default", client.WatchOptions{From: topology.Token{LSN: 1}}), topology.ErrMalformed)
	require.ErrorIs(t, last(t.Context(), "default", client.WatchOptions{From: topology.Token{LSN: 1}, State: true}), topology.ErrMalformed)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, last(ctx, "default", client.WatchOptions{}), topology.ErrTimeout)
}
