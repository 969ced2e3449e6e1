package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/server"
)

// story is a part of what a program does with a client.
type story struct {
	name string
	tell func(context.Context, *testing.T, *redis.Client)
}

var stories = []story{
	{"strings", stringsStory}, {"counters", countersStory}, {"hashes", hashesStory}, {"sets", setsStory}, {"expiry", expiryStory},
	{"pipelines", pipelinesStory}, {"transactions", transactionsStory}, {"scans", scansStory}, {"connections", connectionsStory},
}

func TestALibraryDrivesTheLeader(t *testing.T) {
	g := launch(t, server.RoutingNone)
	for _, protocol := range []int{2, 3} {
		for _, s := range stories {
			t.Run(fmt.Sprintf("RESP%d/%s", protocol, s.name), func(t *testing.T) {
				c := g.client(t, "a", protocol)
				require.NoError(t, c.FlushAll(t.Context()).Err())
				s.tell(t.Context(), t, c)
			})
		}
	}
}

func TestALibraryDrivesAFollowerThatForwards(t *testing.T) {
	g := launch(t, server.RoutingForward)
	c := g.client(t, "b", 3)
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			require.NoError(t, g.client(t, "a", 3).FlushAll(t.Context()).Err())
			s.tell(t.Context(), t, c)
		})
	}
}

func stringsStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.NoError(t, c.Set(ctx, "k", "v", 0).Err())
	require.Equal(t, "v", c.Get(ctx, "k").Val())
	require.ErrorIs(t, c.Get(ctx, "none").Err(), redis.Nil)
	set, err := c.SetNX(ctx, "k", "w", 0).Result()
	require.NoError(t, err)
	require.False(t, set)
	old, err := c.SetArgs(ctx, "k", "w", redis.SetArgs{Get: true, KeepTTL: true}).Result()
	require.NoError(t, err)
	require.Equal(t, "v", old)
	require.EqualValues(t, 3, c.Append(ctx, "k", "xy").Val())
	require.EqualValues(t, 3, c.StrLen(ctx, "k").Val())
	require.NoError(t, c.MSet(ctx, "a", 1, "b", 2).Err())
	require.Equal(t, []any{"1", nil, "2"}, c.MGet(ctx, "a", "none", "b").Val())
	require.False(t, c.MSetNX(ctx, "a", 1, "new", 2).Val())
	require.Equal(t, "wxy", c.Do(ctx, "GETSET", "k", "z").Val())
	require.Equal(t, "z", c.GetDel(ctx, "k").Val())
	require.EqualValues(t, 2, c.Del(ctx, "a", "b", "none").Val())
	require.ErrorContains(t, c.Do(ctx, "NOSUCH").Err(), "unknown command")
}

func countersStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.EqualValues(t, 1, c.Incr(ctx, "n").Val())
	require.EqualValues(t, 41, c.IncrBy(ctx, "n", 40).Val())
	require.EqualValues(t, 40, c.Decr(ctx, "n").Val())
	n, err := c.Get(ctx, "n").Int()
	require.NoError(t, err)
	require.Equal(t, 40, n)
	require.NoError(t, c.Set(ctx, "n", "9223372036854775807", 0).Err())
	require.EqualError(t, c.Incr(ctx, "n").Err(), "ERR increment or decrement would overflow")
}

type user struct {
	Name string `redis:"name" msgpack:"name"`
	Age  int    `redis:"age" msgpack:"age"`
}

func hashesStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.EqualValues(t, 2, c.HSet(ctx, "h", user{"Alice", 30}).Val())
	var u user
	require.NoError(t, c.HGetAll(ctx, "h").Scan(&u))
	require.Equal(t, user{"Alice", 30}, u)
	require.Equal(t, "Alice", c.HGet(ctx, "h", "name").Val())
	require.ErrorIs(t, c.HGet(ctx, "h", "none").Err(), redis.Nil)
	require.EqualValues(t, 31, c.HIncrBy(ctx, "h", "age", 1).Val())
	require.Equal(t, []any{"31", nil}, c.HMGet(ctx, "h", "age", "none").Val())
	require.EqualValues(t, 2, c.HDel(ctx, "h", "name", "age").Val())
	require.EqualValues(t, 0, c.Exists(ctx, "h").Val())
	require.Empty(t, c.HGetAll(ctx, "h").Val())
}

func setsStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.EqualValues(t, 3, c.SAdd(ctx, "s", "a", "b", "c", "a").Val())
	require.True(t, c.SIsMember(ctx, "s", "a").Val())
	require.Equal(t, []bool{true, false}, c.SMIsMember(ctx, "s", "b", "x").Val())
	require.ElementsMatch(t, []string{"a", "b", "c"}, c.SMembers(ctx, "s").Val())
	require.EqualValues(t, 1, c.SRem(ctx, "s", "a", "x").Val())
	require.EqualValues(t, 2, c.SCard(ctx, "s").Val())
	require.ErrorContains(t, c.Incr(ctx, "s").Err(), "WRONGTYPE")
	require.Equal(t, "set", c.Type(ctx, "s").Val())
}

func expiryStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.NoError(t, c.Set(ctx, "k", "v", time.Hour).Err())
	require.InDelta(t, time.Hour.Seconds(), c.TTL(ctx, "k").Val().Seconds(), 10)
	require.True(t, c.Persist(ctx, "k").Val())
	require.Equal(t, time.Duration(-1), c.TTL(ctx, "k").Val())
	require.True(t, c.PExpire(ctx, "k", time.Millisecond).Val())
	require.Eventually(t, func() bool { return errors.Is(c.Get(ctx, "k").Err(), redis.Nil) }, patience, time.Millisecond)
	require.True(t, c.SetNX(ctx, "k", "again", 0).Val())
	require.Equal(t, "again", c.Get(ctx, "k").Val())
	require.Error(t, c.Do(ctx, "SET", "k", "v", "EX", "0").Err())
}

func pipelinesStory(ctx context.Context, t *testing.T, c *redis.Client) {
	var last *redis.IntCmd
	var read *redis.StringCmd
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 100 {
			last = p.Incr(ctx, "n")
		}
		p.SAdd(ctx, "s", "a")
		read = p.Get(ctx, "n")
		return nil
	})
	require.NoError(t, err)
	require.Len(t, cmds, 102)
	require.EqualValues(t, 100, last.Val())
	require.Equal(t, "100", read.Val())
}

func transactionsStory(ctx context.Context, t *testing.T, c *redis.Client) {
	_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", "1", 0)
		p.Incr(ctx, "a")
		p.SAdd(ctx, "s", "x")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, "2", c.Get(ctx, "a").Val())
	_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "a", "5", 0)
		p.Incr(ctx, "s")
		return nil
	})
	require.ErrorContains(t, err, "WRONGTYPE")
	require.Equal(t, "5", c.Get(ctx, "a").Val())
	// An optimistic lock: one that sees another's write does nothing.
	err = c.Watch(ctx, func(tx *redis.Tx) error {
		require.NoError(t, c.Set(ctx, "a", "other", 0).Err())
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "a", "mine", 0); return nil })
		return err
	}, "a")
	require.ErrorIs(t, err, redis.TxFailedErr)
	require.Equal(t, "other", c.Get(ctx, "a").Val())
}

func scansStory(ctx context.Context, t *testing.T, c *redis.Client) {
	var want []string
	for i := range 250 {
		want = append(want, fmt.Sprintf("key:%03d", i))
	}
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range want {
			p.Set(ctx, k, "v", 0)
		}
		p.SAdd(ctx, "set", "x")
		return nil
	})
	require.NoError(t, err)
	var got []string
	it := c.Scan(ctx, 0, "key:*", 20).Iterator()
	for it.Next(ctx) {
		got = append(got, it.Val())
	}
	require.NoError(t, it.Err())
	slices.Sort(got)
	require.Equal(t, want, got)
	sets, _, err := c.ScanType(ctx, 0, "", 1000, "set").Result()
	require.NoError(t, err)
	require.Equal(t, []string{"set"}, sets)
	require.EqualValues(t, 251, c.DBSize(ctx).Val())
	require.ErrorContains(t, c.Scan(ctx, 12345678, "", 10).Err(), "invalid cursor")
}

func connectionsStory(ctx context.Context, t *testing.T, c *redis.Client) {
	require.Equal(t, "PONG", c.Ping(ctx).Val())
	require.Equal(t, "hi", c.Echo(ctx, "hi").Val())
	require.Equal(t, "test", c.ClientGetName(ctx).Val())
	require.Contains(t, c.ClientList(ctx).Val(), "lib-name=go-redis")
	require.Contains(t, c.Info(ctx, "replication").Val(), "role:")
	require.NotEmpty(t, c.Command(ctx).Val())
	require.NoError(t, c.Do(ctx, "TRIAD", "READ", "session").Err())
	require.NoError(t, c.Do(ctx, "TRIAD", "READ", "default").Err())
}

// Increments of many clients are all counted, whichever way they are made.
func TestNoIncrementIsLost(t *testing.T) {
	g := launch(t, server.RoutingNone)
	const clients, each = 8, 25
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			c := g.client(t, "a", 2+i%2)
			for range each {
				require.NoError(t, c.Incr(t.Context(), "counted").Err())
				require.NoError(t, optimistic(t.Context(), c, "watched"))
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		c := g.client(t, id, 3)
		require.Equal(t, "200", c.Get(t.Context(), "counted").Val(), "at %s", id)
		require.Equal(t, "200", c.Get(t.Context(), "watched").Val(), "at %s", id)
	}
}

// optimistic adds one by reading and writing, until nobody came between.
func optimistic(ctx context.Context, c *redis.Client, key string) error {
	for {
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, key, n+1, 0); return nil })
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
}

// PS5, PS7: a read at any node sees what was acknowledged before it.
func TestEveryNodeReadsWhatWasWritten(t *testing.T) {
	g := launch(t, server.RoutingNone)
	leader := g.client(t, "a", 3)
	for i := range 20 {
		require.NoError(t, leader.Set(t.Context(), "k", i, 0).Err())
		for _, id := range ids[1:] {
			n, err := g.client(t, id, 3).Get(t.Context(), "k").Int()
			require.NoError(t, err)
			require.Equal(t, i, n, "at %s", id)
		}
	}
	err := g.client(t, "b", 2).Set(t.Context(), "k", "w", 0).Err()
	require.ErrorContains(t, err, "READONLY You can't write against a read only replica.")
	require.ErrorContains(t, err, g.addrs["a"])
	require.EqualValues(t, 2, leader.Wait(t.Context(), 2, patience).Val())
}

// C9: without the followers that the policy counts, a write's outcome is not
// known, and a read is refused rather than stale.
func TestALeaderAloneSaysWhatItCanNotKnow(t *testing.T) {
	g := launch(t, server.RoutingNone)
	c := g.client(t, "a", 3)
	require.NoError(t, c.Set(t.Context(), "k", "v", 0).Err())
	g.stop("b")
	g.stop("c")
	require.ErrorContains(t, c.Set(t.Context(), "k", "w", 0).Err(), "UNKNOWN the outcome is not known")
	require.ErrorContains(t, c.Get(t.Context(), "k").Err(), "TRYAGAIN")
	require.NoError(t, c.Do(t.Context(), "TRIAD", "READ", "any").Err())
	require.Equal(t, "v", c.Get(t.Context(), "k").Val())
}

// A row that a Go program wrote is a hash to a Redis client, and the other way round.
func TestARowIsAHash(t *testing.T) {
	g := launch(t, server.RoutingNone)
	c := g.client(t, "a", 3)
	users := triad.TableOf[user](g.nodes["a"], "users")
	require.NoError(t, c.Ping(t.Context()).Err())
	_, err := users.Put(t.Context(), "1", user{"Alice", 30})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "Alice", "age": "30"}, c.HGetAll(t.Context(), "user:1").Val())
	require.EqualValues(t, 31, c.HIncrBy(t.Context(), "user:1", "age", 1).Val())
	require.EqualValues(t, 0, c.HSet(t.Context(), "user:1", "name", "Bob").Val())
	u, err := users.Get(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, user{"Bob", 31}, u)
}
