package multileader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

const carts = users + 1

// defineCarts writes the definition of a table of sets, and waits for it at all nodes.
func (c *cluster) defineCarts(at topology.NodeID) {
	c.t.Helper()
	d := kind.Definition{ID: carts, Kind: record.KindSet}
	w, err := c.nodes[at].Write(c.t.Context(), record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: []byte(kind.DefinitionPrefix + "carts"), Op: record.OpPut, Kind: record.KindBytes, Value: d.Encode()},
	}}, topology.WriteOptions{})
	require.NoError(c.t, err)
	for _, n := range c.nodes {
		require.NoError(c.t, n.wait(w.Token))
	}
}

func cart(key string) kind.Key {
	return kind.Key{Table: carts, Kind: record.KindSet, Name: []byte(key)}
}

// decide has a node decide ops, one after the other.
func decide(n *node, ops ...kind.Op) topology.Receipt {
	n.c.t.Helper()
	var last topology.Receipt
	for _, op := range ops {
		us := []topology.Update{kind.Update(op)}
		n.Update(n.c.t.Context(), us, topology.WriteOptions{})
		require.NoError(n.c.t, us[0].Err)
		last = us[0].Receipt
	}
	return last
}

func cartOf(n *node, key string) []string {
	n.c.t.Helper()
	op := &kind.SetMembers{Key: cart(key)}
	r, err := n.Read(n.c.t.Context(), carts, []byte(key), topology.ReadOptions{Whole: true})
	if !errors.Is(err, topology.ErrNotFound) {
		require.NoError(n.c.t, err)
	}
	_, err = op.Decide(kind.Seen{r.Cells})
	require.NoError(n.c.t, err)
	var out []string
	for _, m := range op.Members {
		out = append(out, string(m))
	}
	return out
}

func in(d time.Duration) version.Timestamp { return version.TimestampAt(time.Now().Add(d)) }

// putUntil puts a value that expires.
func putUntil(n *node, key, value string, at version.Timestamp) topology.Receipt {
	n.c.t.Helper()
	b := batchOf(key, value)
	b.Mutations[0].Expires = at
	w, err := n.Write(n.c.t.Context(), b, topology.WriteOptions{})
	require.NoError(n.c.t, err)
	return w
}

// listed returns what a node's list of expiries has, and what its cells hold of them.
func listed(n *node) (list, held []string) {
	view, err := n.store.Snapshot()
	require.NoError(n.c.t, err)
	defer view.Close()
	for e, err := range view.Scan(record.Cell{}, record.Cell{Table: ^record.TableID(0)}) {
		require.NoError(n.c.t, err)
		if e.Table == record.TableExpiry {
			list = append(list, fmt.Sprint(binary.BigEndian.Uint32(e.Key[8:]), " ", string(e.Field), " ", expiryAt(e.Cell)))
		}
		if !inCommon(e.Cell) || len(e.Field) > 0 {
			continue
		}
		var s record.State
		require.NoError(n.c.t, record.DecodeState(e.State, &s))
		for i := range s.Siblings {
			if v := &s.Siblings[i]; expires(v) {
				held = append(held, fmt.Sprint(uint32(e.Table), " ", string(e.Key), " ", v.Expires))
			}
		}
	}
	slices.Sort(list)
	slices.Sort(held)
	return list, slices.Compact(held)
}

// What has expired is removed by a record of its site's leader, in every site; the removal
// then goes as deletes do.
func TestWhatHasExpiredIsRemovedInTheLogs(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1)), ExpiryGrace: time.Hour}), 2, "us", "eu")
	c.startAll()
	at := in(300 * time.Millisecond)
	const keys = 2*expiryKeysMax + 3
	var last topology.Receipt
	for i := range keys {
		last = putUntil(c.nodes["us1"], fmt.Sprint("k", i), "v", at)
	}
	_, err := c.nodes["us1"].put("stays", "v")
	require.NoError(t, err)
	for _, n := range c.nodes {
		require.NoError(t, n.wait(last.Token))
	}
	for id, n := range c.nodes {
		eventually(t, string(id)+" has let go what expired", func() bool { return n.held() == 1 })
		list, _ := listed(n)
		require.Empty(t, list)
	}
	c.converged()
	require.Empty(t, c.nodes["eu1"].conflicts(), "one site removes them")
}

// Where the site that wrote it is away, another one removes it after a while.
func TestWhatExpiresIsRemovedByAnotherSiteInTheEnd(t *testing.T) {
	c := newCluster(t, Options{ExpiryGrace: 20 * time.Millisecond}, 1, "us", "eu")
	c.startAll()
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	w := putUntil(us, "k", "v", in(200*time.Millisecond))
	require.NoError(t, eu.wait(w.Token))
	us.stop()
	eventually(t, "eu has removed it", func() bool {
		_, err := eu.get("k", topology.ReadOptions{Guarantee: topology.ReadAny})
		return errors.Is(err, topology.ErrNotFound)
	})
	us.start()
	c.leads("us1")
	c.converged()
}

// A removal is not a write of its time: one that it has not seen stays, though it is older.
func TestARemovalTakesNothingThatItHasNotSeen(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	w := putUntil(us, "k", "old", in(500*time.Millisecond))
	require.NoError(t, eu.wait(w.Token))
	c.part(true)
	_, err := eu.put("k", "new")
	require.NoError(t, err)
	eventually(t, "us has removed it", func() bool {
		_, err := us.get("k", topology.ReadOptions{})
		return errors.Is(err, topology.ErrNotFound)
	})
	c.part(false)
	c.converged()
	for _, n := range c.nodes {
		got, err := n.get("k", topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "new", got, n.id)
	}
}

// A key with parts expires whole; of what is added meanwhile elsewhere, with a later
// expiry, nothing goes that the removal has not seen.
func TestAKeyWithPartsExpiresWithItsHead(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.defineCarts("us1")
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	soon := in(time.Second)
	k, gone := cart("k"), cart("gone")
	w := decide(us,
		&kind.SetAdd{Key: k, Members: [][]byte{[]byte("milk")}}, &kind.Expire{Key: k, At: soon},
		&kind.SetAdd{Key: gone, Members: [][]byte{[]byte("milk")}}, &kind.Expire{Key: gone, At: soon},
	)
	require.NoError(t, eu.wait(w.Token))
	c.part(true)
	decide(eu,
		&kind.Expire{Key: k, At: in(time.Hour)}, &kind.SetAdd{Key: k, Members: [][]byte{[]byte("bread")}},
		&kind.SetAdd{Key: gone, Members: [][]byte{[]byte("bread")}}, // a part of a key that is about to expire
	)
	added := in(0) < soon // else it was a new key by then, and has no expiry
	eventually(t, "us has removed both", func() bool { return len(cartOf(us, "k")) == 0 && len(cartOf(us, "gone")) == 0 })
	c.part(false)
	for id, n := range c.nodes {
		eventually(t, string(id)+" has what was added, and not what expired", func() bool {
			return slices.Equal(cartOf(n, "k"), []string{"bread"}) && (!added || len(cartOf(n, "gone")) == 0)
		})
	}
	c.converged()
	for _, n := range c.nodes {
		list, held := listed(n)
		require.Equal(t, held, list, n.id)
	}
}

// Whoever asks a leader is not shown what is due, also where the site that wrote it is
// away; and a decision is made over what is left.
func TestALeaderRemovesWhatIsDueBeforeItAnswers(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	c.defineCarts("us1")
	us, eu := c.nodes["us1"], c.nodes["eu1"]
	at := in(300 * time.Millisecond)
	k := cart("k")
	w := decide(us, &kind.SetAdd{Key: k, Members: [][]byte{[]byte("milk")}}, &kind.Expire{Key: k, At: at})
	w.Token = w.Token.Join(putUntil(us, "read", "v", at).Token).Join(putUntil(us, "scanned", "v", at).Token)
	require.NoError(t, eu.wait(w.Token))
	us.stop()
	time.Sleep(time.Until(at.Time())) // it is the clock that is tested
	add := &kind.SetAdd{Key: k, Members: [][]byte{[]byte("milk")}}
	decide(eu, add)
	require.Equal(t, 1, add.Count, "it was not there any more")
	require.Equal(t, []string{"milk"}, cartOf(eu, "k"))
	before := eu.log.Bounds().End
	for range 2 {
		_, err := eu.get("read", topology.ReadOptions{})
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	require.Equal(t, before+1, eu.log.Bounds().End, "its removal is in the log, once")
	for cell, err := range eu.Scan(context.Background(), record.TableDefault, nil, nil, topology.ReadOptions{}) {
		require.NoError(t, err)
		require.Fail(t, "it is shown", "%s", cell.Key)
	}
}

// What is listed is what is held, whatever writes meet.
func TestTheListOfExpiriesIsTrueToWhatIsHeld(t *testing.T) {
	c := newCluster(t, quick(Options{}), 1, "us", "eu")
	c.startAll()
	c.define("us1", "first-writer")
	for round := range 3 {
		c.part(true)
		for i := range 12 {
			for k, n := range []*node{c.nodes["us1"], c.nodes["eu1"]} {
				table := []record.TableID{record.TableDefault, users}[i%2]
				m := record.Mutation{Table: table, Key: fmt.Append(nil, "k", i/4), Op: record.OpPut, Kind: record.KindBytes, Value: []byte("v")}
				if (i+round)%3 > 0 {
					m.Expires = in(time.Hour + time.Duration(i*k)*time.Minute)
				}
				if (i+round+k)%5 == 0 {
					m.Op, m.Value, m.Expires = record.OpDelete, nil, 0
				}
				_, err := n.Write(t.Context(), record.Batch{Mutations: []record.Mutation{m}}, topology.WriteOptions{})
				require.NoError(t, err)
			}
		}
		c.part(false)
		c.converged()
		for _, n := range c.nodes {
			list, held := listed(n)
			require.Equal(t, held, list, n.id)
		}
	}
}

// A client can not write what only a leader may: a removal of what has expired.
func TestAnExpiryIsOfWhatIsPut(t *testing.T) {
	for name, m := range map[string]record.Mutation{
		"a delete": {Op: record.OpDelete, Kind: record.KindBytes, Expires: 7},
		"a part":   {Op: record.OpPut, Kind: record.KindSet, Field: []byte("f"), Expires: 7},
	} {
		m.Key = []byte("k")
		for _, k := range []record.Kind{record.KindBytes, record.KindSet, record.KindRow} {
			_, err := fit(k, &m)
			require.ErrorIs(t, err, topology.ErrUnsupported, "%s in a table of kind %s", name, kind.Name(k))
		}
	}
	head := record.Mutation{Op: record.OpPut, Kind: record.KindSet, Key: []byte("k"), Value: []byte{3}}
	drop, err := fit(record.KindSet, &head)
	require.NoError(t, err)
	require.True(t, drop, "nobody keeps a count")
	head.Value, head.Expires = []byte{3}, 7
	drop, err = fit(record.KindSet, &head)
	require.NoError(t, err)
	require.False(t, drop)
	require.Empty(t, head.Value)
}
