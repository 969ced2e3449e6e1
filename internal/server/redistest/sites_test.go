package redistest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/server"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// siteTables are those of sites, each under its name as a prefix.
var siteTables = []triad.Table{
	{Name: "values", Kind: record.KindBytes}, {Name: "likes", Kind: record.KindCounter}, {Name: "carts", Kind: record.KindSet},
	{Name: "prefs", Kind: record.KindMap}, {Name: "users", Kind: record.KindRow}, {Name: "visitors", Kind: record.KindHLL},
	{Name: "online", Kind: record.KindFlag}, {Name: "best", Kind: record.KindMax}, {Name: "first", Kind: record.KindMin},
}

// sites are one node each, with a Redis port.
type sites struct {
	clients []*redis.Client
	nodes   []*triad.Node
}

// launchSites starts sites that write on their own, until the test ends.
func launchSites(t *testing.T, tables []triad.Table, names ...string) *sites {
	t.Helper()
	s := &sites{}
	o := multileader.Options{}
	var members []triad.Member
	var peers []net.Listener
	for i, name := range names {
		o.Sites = append(o.Sites, multileader.Site{Name: name, Number: uint32(i + 1)})
		peers = append(peers, listen(t))
		members = append(members, triad.Member{ID: topology.NodeID(name), Addr: peers[i].Addr().String(), Site: name})
	}
	prefixes := map[string]string{}
	for _, x := range tables {
		prefixes[x.Name+":"] = x.Name
	}
	for i, m := range members {
		n, err := triad.Open(triad.Config{
			ID: m.ID, Cluster: "shop", Dir: "node", FS: vfs.NewMem(), Memory: true, Listener: peers[i], Members: members, Tables: tables,
			Topology: multileader.New(o), Control: static.New(static.Options{Leader: m.ID}),
		})
		require.NoError(t, err)
		srv, err := server.New(n.Cells(), server.Options{Prefixes: prefixes})
		require.NoError(t, err)
		port := listen(t)
		ctx, cancel := context.WithCancel(context.Background())
		ran, served := make(chan error, 1), make(chan error, 1)
		go func() { ran <- n.Run(ctx) }()
		go func() { served <- srv.Serve(ctx, port) }()
		t.Cleanup(sync.OnceFunc(func() {
			cancel()
			require.NoError(t, <-served)
			require.NoError(t, <-ran)
			require.NoError(t, n.Close())
		}))
		c := redis.NewClient(&redis.Options{Addr: port.Addr().String(), Protocol: 2 + i%2, MaxRetries: -1, ReadTimeout: patience, DialTimeout: patience, PoolSize: 1})
		t.Cleanup(func() { _ = c.Close() })
		s.clients, s.nodes = append(s.clients, c), append(s.nodes, n)
	}
	for _, c := range s.clients {
		for _, x := range tables {
			require.Eventually(t, func() bool {
				return c.Exists(t.Context(), x.Name+":none").Err() == nil && c.Do(t.Context(), "TRIAD", "READ", "default").Err() == nil
			}, patience, 5*time.Millisecond, x.Name)
		}
	}
	return s
}

// meet has every site see what all have written.
func (s *sites) meet(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var seen topology.Token
	for _, c := range s.clients {
		text, err := c.Do(ctx, "TRIAD", "TOKEN").Text()
		require.NoError(t, err)
		if text == "" {
			continue
		}
		token, err := topology.ParseToken(text)
		require.NoError(t, err)
		seen = seen.Join(token)
	}
	for _, n := range s.nodes {
		require.NoError(t, n.Wait(ctx, seen))
	}
}

func TestALibraryWritesInEverySiteAndEverythingComesTogether(t *testing.T) {
	s := launchSites(t, siteTables, "us", "eu", "ap")
	ctx := t.Context()
	for i, c := range s.clients {
		for range 10 {
			require.NoError(t, c.Incr(ctx, "likes:post").Err())
		}
		require.NoError(t, c.IncrBy(ctx, "likes:post", 5).Err())
		require.NoError(t, c.DecrBy(ctx, "likes:post", 2).Err())
		require.NoError(t, c.Decr(ctx, "likes:post").Err())
		require.NoError(t, c.SAdd(ctx, "carts:7", "milk", i).Err())
		require.NoError(t, c.HSet(ctx, "prefs:7", "of", i, "by"+strconv.Itoa(i), "x").Err())
		require.NoError(t, c.HSet(ctx, "users:7", "name", "Alice", "age"+strconv.Itoa(i), 30+i).Err())
		require.NoError(t, c.PFAdd(ctx, "visitors:today", "Alice", i).Err())
		require.NoError(t, c.PFAdd(ctx, "visitors:of"+strconv.Itoa(i), i, i+1).Err())
		require.NoError(t, c.Set(ctx, "values:k", i, 0).Err())
		require.NoError(t, c.Set(ctx, "online:"+strconv.Itoa(i), 1, 0).Err())
		require.NoError(t, c.Do(ctx, "TRIAD", "OBSERVE", "best:k", 10*i).Err())
		require.NoError(t, c.Do(ctx, "TRIAD", "OBSERVE", "first:k", -10*i).Err())
	}
	s.meet(t)
	last := s.clients[0].Get(ctx, "values:k").Val()
	for _, c := range s.clients {
		require.Equal(t, "36", c.Get(ctx, "likes:post").Val())
		require.Equal(t, []string{"0", "1", "2", "milk"}, slices.Sorted(slices.Values(c.SMembers(ctx, "carts:7").Val())))
		require.EqualValues(t, 4, c.SCard(ctx, "carts:7").Val())
		require.True(t, c.SIsMember(ctx, "carts:7", "milk").Val())
		require.Equal(t, []bool{true, false}, c.SMIsMember(ctx, "carts:7", "2", "x").Val())
		require.Len(t, c.HGetAll(ctx, "prefs:7").Val(), 4)
		require.EqualValues(t, 4, c.HLen(ctx, "prefs:7").Val())
		require.True(t, c.HExists(ctx, "prefs:7", "by1").Val())
		require.Equal(t, map[string]string{"name": "Alice", "age0": "30", "age1": "31", "age2": "32"}, c.HGetAll(ctx, "users:7").Val())
		require.EqualValues(t, 4, c.PFCount(ctx, "visitors:today").Val())
		require.EqualValues(t, 4, c.PFCount(ctx, "visitors:of0", "visitors:of1", "visitors:of2").Val())
		require.Equal(t, last, c.Get(ctx, "values:k").Val())
		require.Equal(t, "1", c.Get(ctx, "online:2").Val())
		require.Equal(t, "20", c.Get(ctx, "best:k").Val())
		require.Equal(t, "-20", c.Get(ctx, "first:k").Val())
	}
	us := s.clients[0]
	require.EqualValues(t, 1, us.SRem(ctx, "carts:7", "milk", "none").Val())
	require.EqualValues(t, 1, us.HDel(ctx, "prefs:7", "by1", "none").Val())
	require.NoError(t, us.PFMerge(ctx, "visitors:all", "visitors:of0", "visitors:of1", "visitors:of2").Err())
	require.EqualValues(t, 1, us.Del(ctx, "online:2").Val())
	require.NoError(t, us.Set(ctx, "likes:post", 5, 0).Err())
	s.meet(t)
	for _, c := range s.clients {
		require.EqualValues(t, 3, c.SCard(ctx, "carts:7").Val())
		require.False(t, c.HExists(ctx, "prefs:7", "by1").Val())
		require.EqualValues(t, 4, c.PFCount(ctx, "visitors:all").Val())
		require.EqualValues(t, 0, c.Exists(ctx, "online:2").Val())
		require.Equal(t, "5", c.Get(ctx, "likes:post").Val())
	}
}

// What a table of several sites does not hold, or would need one order of all writes for,
// is an error that says so, and changes nothing.
func TestALibraryIsToldWhatSitesDoNotDo(t *testing.T) {
	s := launchSites(t, siteTables, "us")
	ctx, c := t.Context(), s.clients[0]
	require.NoError(t, c.Set(ctx, "values:k", "v", 0).Err())
	for name, err := range map[string]error{
		"INCR of values":   c.Incr(ctx, "values:n").Err(),
		"INCR of default":  c.Incr(ctx, "n").Err(),
		"PFADD of values":  c.PFAdd(ctx, "values:p", "a").Err(),
		"PFADD of default": c.PFAdd(ctx, "p", "a").Err(),
		"PFADD of a set":   c.PFAdd(ctx, "carts:p", "a").Err(),
		"SADD to a sketch": c.SAdd(ctx, "visitors:s", "a").Err(),
		"GET of a sketch":  func() error { c.PFAdd(ctx, "visitors:p", "a"); return c.Get(ctx, "visitors:p").Err() }(),
		"OBSERVE a value":  c.Do(ctx, "TRIAD", "OBSERVE", "values:k", 1).Err(),
	} {
		require.ErrorContains(t, err, "WRONGTYPE", name)
	}
	for name, err := range map[string]error{
		"SETNX":   c.SetNX(ctx, "values:k", "w", 0).Err(),
		"APPEND":  c.Append(ctx, "values:k", "w").Err(),
		"EXPIRE":  c.Expire(ctx, "values:k", time.Hour).Err(),
		"HINCRBY": c.HIncrBy(ctx, "prefs:k", "n", 1).Err(),
		"MULTI": func() error {
			_, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Incr(ctx, "likes:k"); return nil })
			return err
		}(),
		"EXPIRE ... NX": c.ExpireNX(ctx, "carts:k", time.Hour).Err(),
	} {
		require.ErrorContains(t, err, "several sites write", name)
	}
	require.Equal(t, "v", c.Get(ctx, "values:k").Val())
}

func TestALibraryHasKeysExpireInEverySite(t *testing.T) {
	s := launchSites(t, siteTables, "us", "eu")
	ctx, us := t.Context(), s.clients[0]
	const ttl = 500 * time.Millisecond
	require.NoError(t, us.SAdd(ctx, "carts:7", "milk").Err())
	require.True(t, us.PExpire(ctx, "carts:7", time.Hour).Val())
	require.InDelta(t, time.Hour.Seconds(), us.TTL(ctx, "carts:7").Val().Seconds(), 60)
	require.EqualValues(t, 1, us.SAdd(ctx, "carts:7", "bread").Val())
	require.Positive(t, us.TTL(ctx, "carts:7").Val(), "a change of a part keeps the expiry")
	require.True(t, us.Persist(ctx, "carts:7").Val())
	require.EqualValues(t, -1, us.TTL(ctx, "carts:7").Val())
	require.True(t, us.PExpire(ctx, "carts:7", ttl).Val())
	require.NoError(t, us.HSet(ctx, "users:7", "name", "Alice").Err())
	require.True(t, us.PExpire(ctx, "users:7", ttl).Val())
	require.NoError(t, us.Set(ctx, "values:k", "v", ttl).Err())
	for i, c := range s.clients {
		for _, key := range []string{"carts:7", "users:7", "values:k"} {
			require.Eventually(t, func() bool { return c.Exists(ctx, key).Val() == 0 }, patience, 5*time.Millisecond, fmt.Sprint(key, " at ", i))
		}
	}
	require.EqualValues(t, 1, us.SAdd(ctx, "carts:7", "butter").Val())
	require.Equal(t, []string{"butter"}, us.SMembers(ctx, "carts:7").Val())
	require.EqualValues(t, -1, us.TTL(ctx, "carts:7").Val(), "it is a new key")
}
