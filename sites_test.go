package triad_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// openSites opens and runs sites of two nodes each.
func openSites(t *testing.T, tables []triad.Table, names ...string) map[string]*triad.Node {
	return openSitesWith(t, nil, tables, names...)
}

// openSitesWith does so, with functions that tables may name.
func openSitesWith(t *testing.T, functions *conflict.Registry, tables []triad.Table, names ...string) map[string]*triad.Node {
	var listeners []net.Listener
	var list []triad.Member
	o := multileader.Options{Resolvers: functions}
	for i, s := range names {
		o.Sites = append(o.Sites, multileader.Site{Name: s, Number: uint32(i + 1)})
		for _, n := range []string{"1", "2"} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			listeners = append(listeners, l)
			list = append(list, triad.Member{ID: topology.NodeID(s + n), Addr: l.Addr().String(), Site: s})
		}
	}
	nodes := map[string]*triad.Node{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	for i, m := range list {
		n, err := triad.Open(triad.Config{
			ID: m.ID, Cluster: "shop", Dir: t.TempDir(), Listener: listeners[i], Members: list, Tables: tables,
			Topology: multileader.New(o), Control: static.New(static.Options{Leader: topology.NodeID(m.Site + "1")}),
		})
		require.NoError(t, err)
		nodes[string(m.ID)] = n
		go func() { done <- n.Run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range nodes {
			require.NoError(t, <-done)
		}
		for _, n := range nodes {
			require.NoError(t, n.Close())
		}
	})
	return nodes
}

func TestSitesShareTheirTables(t *testing.T) {
	nodes := openSites(t, []triad.Table{{Name: "users"}, {Name: "carts"}}, "us", "eu")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	put := func(node, table, key, value string) triad.Receipt {
		for {
			r, err := nodes[node].Put(ctx, table, []byte(key), []byte(value))
			if err == nil {
				return r
			}
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), "%v", err)
			require.NoError(t, ctx.Err(), "%v", err)
			time.Sleep(time.Millisecond)
		}
	}
	seen := put("us1", "users", "1001", "Alice").Token.Join(put("eu1", "carts", "1001", "apples").Token)
	for id, n := range nodes {
		for table, want := range map[string]string{"users": "Alice", "carts": "apples"} {
			r, err := n.Get(ctx, table, []byte("1001"), triad.After(seen))
			require.NoError(t, err, "%s of %s", table, id)
			require.Equal(t, want, string(r.Value))
		}
	}
	_, err := nodes["us2"].Put(ctx, "users", []byte("k"), []byte("v"))
	var refused *topology.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, topology.NodeID("us1"), refused.Leader)
	require.NoError(t, nodes["us1"].CreateTable(ctx, triad.Table{Name: "more"}))
	r := put("us1", "more", "k", "v")
	got, err := nodes["eu2"].Get(ctx, "more", []byte("k"), triad.After(r.Token))
	require.NoError(t, err, "the token has seen the table, too")
	require.Equal(t, "v", string(got.Value))
	require.ErrorIs(t, nodes["us1"].DropTable(ctx, "more"), topology.ErrUnsupported)
}

func TestWhatConcurrentWritesCostIsListed(t *testing.T) {
	nodes := openSites(t, []triad.Table{{Name: "users"}}, "us", "eu")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var lists [2][]triad.Conflict
	for round := 0; len(lists[0]) == 0; round++ {
		require.NoError(t, ctx.Err(), "no two writes met")
		var met [2]triad.Receipt
		var wait sync.WaitGroup
		for i, id := range []string{"us1", "eu1"} {
			wait.Go(func() {
				r, err := nodes[id].Put(ctx, "users", []byte("1001"), []byte(id))
				if err == nil {
					met[i] = r
				}
			})
		}
		wait.Wait()
		for i, id := range []string{"us2", "eu2"} {
			require.NoError(t, nodes[id].Wait(ctx, met[0].Token.Join(met[1].Token)))
			lists[i] = conflictsOf(t, nodes[id], triad.ConflictPlace{})
		}
	}
	last := func(i int) triad.Conflict { return lists[i][len(lists[i])-1] }
	for i := range lists {
		c := last(i)
		require.Equal(t, "users", c.Table)
		require.Equal(t, "1001", string(c.Key))
		require.Equal(t, topology.InsertInsert, c.Type)
		require.Len(t, c.Winner, 1)
		require.Len(t, c.Losers, 1)
		require.NotEqual(t, c.Winner[0].Site, c.Losers[0].Site)
		require.Equal(t, c.Winner[0].Site+"1", string(c.Winner[0].Value))
		require.Equal(t, last(0).Winner, c.Winner, "both settle it alike")
	}
	require.Empty(t, conflictsOf(t, nodes["us2"], last(0).ConflictPlace), "behind the last")
	before := last(0).ConflictPlace
	before.LSN--
	require.Equal(t, []triad.Conflict{last(0)}, conflictsOf(t, nodes["us2"], before))
}

func conflictsOf(t *testing.T, n *triad.Node, after triad.ConflictPlace) (all []triad.Conflict) {
	for c, err := range n.Operator().Conflicts(t.Context(), after) {
		require.NoError(t, err)
		all = append(all, c)
	}
	return all
}

// untilApplied calls f until it returns no error that says that nothing was applied.
func untilApplied(t *testing.T, ctx context.Context, f func() error) {
	t.Helper()
	for {
		err := f()
		if err == nil {
			return
		}
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), "%v", err)
		require.NotErrorIs(t, err, topology.ErrUnsupported)
		require.NoError(t, ctx.Err(), "%v", err)
		time.Sleep(time.Millisecond)
	}
}

func TestSitesCountAndCollectTogether(t *testing.T) {
	nodes := openSites(t, []triad.Table{
		{Name: "likes", Kind: record.KindCounter}, {Name: "carts", Kind: record.KindSet},
		{Name: "prefs", Kind: record.KindMap},
	}, "us", "eu", "ap")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sites := []string{"us", "eu", "ap"}
	var seen topology.Token
	saw := func(r triad.Receipt) { seen = seen.Join(r.Token) }
	for i, s := range sites {
		n := nodes[s+"1"]
		for range 10 {
			untilApplied(t, ctx, func() error {
				_, r, err := triad.CounterOf(n, "likes").Add(ctx, "post", int64(i+1))
				saw(r)
				return err
			})
		}
		untilApplied(t, ctx, func() error {
			_, r, err := triad.SetOf[string](n, "carts").Add(ctx, "7", []string{"milk", "from " + s})
			saw(r)
			return err
		})
		untilApplied(t, ctx, func() error {
			r, err := triad.MapOf[string](n, "prefs").Put(ctx, "7", "of "+s, s)
			saw(r)
			return err
		})
	}
	for id, n := range nodes {
		sum, err := triad.CounterOf(n, "likes").Get(ctx, "post", triad.After(seen))
		require.NoError(t, err)
		require.EqualValues(t, 60, sum, id)
		members, err := triad.SetOf[string](n, "carts").Members(ctx, "7", triad.After(seen))
		require.NoError(t, err)
		require.Equal(t, []string{"from ap", "from eu", "from us", "milk"}, members, id)
		size, err := triad.SetOf[string](n, "carts").Len(ctx, "7", triad.After(seen))
		require.NoError(t, err)
		require.Equal(t, 4, size)
		prefs, err := triad.MapOf[string](n, "prefs").All(ctx, "7", triad.After(seen))
		require.NoError(t, err)
		require.Equal(t, map[string]string{"of us": "us", "of eu": "eu", "of ap": "ap"}, prefs, id)
	}
	removed, r, err := triad.SetOf[string](nodes["us1"], "carts").Remove(ctx, "7", []string{"milk", "nothing"})
	require.NoError(t, err)
	require.Equal(t, 1, removed)
	has, err := triad.SetOf[string](nodes["ap2"], "carts").Has(ctx, "7", "milk", triad.After(r.Token))
	require.NoError(t, err)
	require.False(t, has)
	_, err = nodes["us1"].Put(ctx, "likes", []byte("post"), []byte("5"))
	require.NoError(t, err)
	sum, _, err := triad.CounterOf(nodes["us1"], "likes").Add(ctx, "post", 2)
	require.NoError(t, err)
	require.EqualValues(t, 7, sum)
}

func TestSitesJoinFlagsExtremesAndSketches(t *testing.T) {
	nodes := openSites(t, []triad.Table{
		{Name: "online", Kind: record.KindFlag}, {Name: "best", Kind: record.KindMax}, {Name: "first", Kind: record.KindMin},
		{Name: "visitors", Kind: record.KindHLL},
	}, "us", "eu", "ap")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var seen topology.Token
	saw := func(r triad.Receipt) { seen = seen.Join(r.Token) }
	for i, s := range []string{"us", "eu", "ap"} {
		n := nodes[s+"1"]
		untilApplied(t, ctx, func() error {
			_, r, err := triad.FlagOf(n, "online").Enable(ctx, s)
			saw(r)
			return err
		})
		untilApplied(t, ctx, func() error {
			_, r, err := triad.MaxOf(n, "best").Observe(ctx, "k", int64(10*i))
			saw(r)
			_, r2, err2 := triad.MinOf(n, "first").Observe(ctx, "k", int64(-i))
			saw(r2)
			return errors.Join(err, err2)
		})
		untilApplied(t, ctx, func() error {
			_, r, err := triad.SketchOf[string](n, "visitors").Add(ctx, "today", []string{"Alice", "from " + s})
			saw(r)
			_, r2, err2 := triad.SketchOf[int](n, "visitors").Add(ctx, "of "+s, []int{i, 7})
			saw(r2)
			return errors.Join(err, err2)
		})
	}
	for id, n := range nodes {
		best, err := triad.MaxOf(n, "best").Get(ctx, "k", triad.After(seen))
		require.NoError(t, err)
		require.EqualValues(t, 20, best, id)
		first, err := triad.MinOf(n, "first").Get(ctx, "k", triad.After(seen))
		require.NoError(t, err)
		require.EqualValues(t, -2, first, id)
		count, err := triad.SketchOf[string](n, "visitors").Count(ctx, "today", triad.After(seen))
		require.NoError(t, err)
		require.EqualValues(t, 4, count, id)
		for _, s := range []string{"us", "eu", "ap", "nowhere"} {
			on, err := triad.FlagOf(n, "online").Get(ctx, s, triad.After(seen))
			require.NoError(t, err)
			require.Equal(t, s != "nowhere", on, "%s at %s", s, id)
		}
	}
	us := nodes["us1"]
	require.NoError(t, us.Wait(ctx, seen))
	_, err := triad.SketchOf[int](us, "visitors").Merge(ctx, "all", []string{"of us", "of eu", "of ap"})
	require.NoError(t, err)
	count, err := triad.SketchOf[int](us, "visitors").Count(ctx, "all")
	require.NoError(t, err)
	require.EqualValues(t, 4, count)
	was, r, err := triad.FlagOf(us, "online").Disable(ctx, "eu")
	require.NoError(t, err)
	require.True(t, was)
	on, err := triad.FlagOf(nodes["ap2"], "online").Get(ctx, "eu", triad.After(r.Token))
	require.NoError(t, err)
	require.False(t, on)
	_, err = triad.MaxOf(us, "best").Delete(ctx, "k")
	require.NoError(t, err)
	_, err = triad.MaxOf(us, "best").Get(ctx, "k")
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.Error(t, us.CreateTable(ctx, triad.Table{Name: "wrong", Kind: record.KindHLL, Resolver: "lww"}))
	for _, err := range []error{
		func() error { _, _, err := triad.MinOf(us, "best").Observe(ctx, "k", 1); return err }(),
		func() error { _, err := triad.SketchOf[string](us, "online").Count(ctx, "k"); return err }(),
	} {
		require.ErrorIs(t, err, topology.ErrConflict, "a table has one kind")
	}
}

type person struct {
	Name string `msgpack:"name"`
}

func TestWhatIsToExpireIsRemovedInEverySite(t *testing.T) {
	const ttl = 300 * time.Millisecond
	nodes := openSites(t, []triad.Table{
		{Name: "values", Kind: record.KindBytes}, {Name: "carts", Kind: record.KindSet, TTL: ttl},
		{Name: "users", Kind: record.KindRow}, {Name: "visits", Kind: record.KindCounter, TTL: ttl},
	}, "us", "eu")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	us := nodes["us1"]
	var seen topology.Token
	for _, write := range []func() (triad.Receipt, error){
		func() (triad.Receipt, error) {
			return us.Put(ctx, "values", []byte("k"), []byte("v"), triad.TTL(ttl))
		},
		func() (triad.Receipt, error) {
			_, r, err := triad.SetOf[string](us, "carts").Add(ctx, "k", []string{"milk"})
			return r, err
		},
		func() (triad.Receipt, error) {
			return triad.TableOf[person](us, "users").Put(ctx, "k", person{Name: "Alice"}, triad.TTL(ttl))
		},
		func() (triad.Receipt, error) {
			_, r, err := triad.CounterOf(us, "visits").Add(ctx, "k", 3)
			return r, err
		},
	} {
		untilApplied(t, ctx, func() error {
			r, err := write()
			seen = seen.Join(r.Token)
			return err
		})
	}
	for id, n := range nodes {
		require.NoError(t, n.Wait(ctx, seen))
		for _, table := range []string{"values", "carts", "users", "visits"} {
			require.Eventually(t, func() bool {
				for item, err := range n.Scan(ctx, table, nil, nil, triad.Any()) {
					if err != nil || item.Key != nil {
						return false
					}
				}
				return true
			}, 30*time.Second, 5*time.Millisecond, "%s at %s", table, id)
		}
	}
	n, _, err := triad.CounterOf(us, "visits").Add(ctx, "k", 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "it counts from nothing again")
}
