package merkle_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cellOf(key string, field ...string) record.Cell {
	c := record.Cell{Table: record.TableFirst, Key: []byte(key)}
	if len(field) > 0 {
		c.Field = []byte(field[0])
	}
	return c
}

func versionOf(seq uint64, value string) record.Version {
	return record.Version{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: seq}, Time: version.Timestamp(seq), Kind: record.KindBytes, Value: []byte(value)}
}

func TestASumTellsApartWhatIsHeld(t *testing.T) {
	var s merkle.Summer
	of := func(c record.Cell, vs ...record.Version) uint64 { return s.Sum(&c, vs) }
	v := versionOf(7, "value")
	gone, later, other, expires, dot := v, v, v, v, v
	gone.Absent, gone.Value = true, nil
	later.Time++
	other.Value = []byte("valuf")
	expires.Expires = 9
	dot.Seq++
	sums := map[uint64]string{}
	for name, sum := range map[string]uint64{
		"a value": of(cellOf("k"), v), "another key": of(cellOf("l"), v), "a field": of(cellOf("k", "f"), v), "key and field run together": of(cellOf("", "k"), v),
		"a later time": of(cellOf("k"), later), "other bytes": of(cellOf("k"), other), "an expiry": of(cellOf("k"), expires), "another write": of(cellOf("k"), dot),
		"two": of(cellOf("k"), v, dot),
	} {
		require.NotZero(t, sum, name)
		require.Empty(t, sums[sum], name)
		sums[sum] = name
	}
	require.Zero(t, of(cellOf("k"), gone), "deletes go at each replica in its own time")
	require.Zero(t, of(cellOf("k")))
	require.Equal(t, of(cellOf("k"), v), of(cellOf("k"), gone, v))
	c := cellOf("k")
	require.NotZero(t, s.All(&c, []record.Version{gone}), "but what is replaced is seen whole")
	require.Equal(t, of(cellOf("k"), v), s.All(&c, []record.Version{v}))
}

// A tree is the same whatever the order of the writes, and goes back to nothing with them.
func TestATreeIsOfWhatIsHeldAndNotOfHowItCame(t *testing.T) {
	a, b := merkle.New(3), merkle.New(3)
	var s merkle.Summer
	type change struct {
		leaf  int
		delta uint64
	}
	var all []change
	for i := range 1000 {
		c, v := cellOf(fmt.Sprint("k", i)), versionOf(uint64(i+1), "v")
		all = append(all, change{a.Leaf(c.Table, c.Key), s.Sum(&c, []record.Version{v})})
	}
	for i := range all {
		a.Add(all[i].leaf, all[i].delta)
		b.Add(all[len(all)-1-i].leaf, all[len(all)-1-i].delta)
	}
	for level := range a.Depth() + 1 {
		for i := range a.Width(level) {
			require.Equal(t, a.At(level, i), b.At(level, i))
		}
	}
	c := a.Clone()
	for _, x := range all {
		a.Add(x.leaf, -x.delta)
	}
	require.Zero(t, a.Root())
	require.Equal(t, b.Root(), c.Root())
}

func TestTreesOfANodeAreBounded(t *testing.T) {
	for partitions := 1; partitions <= 1<<12; partitions++ {
		leaves := 1
		for range merkle.DepthOf(partitions) {
			leaves *= merkle.Fan
		}
		require.LessOrEqual(t, leaves*partitions, merkle.LeavesMax)
		require.LessOrEqual(t, merkle.DepthOf(partitions+1), merkle.DepthOf(partitions))
	}
}

func TestLeavesAreFilledEvenly(t *testing.T) {
	tree := merkle.New(3)
	count := make([]int, len(tree.Leaves()))
	const keys = 512 * 100
	for i := range keys {
		count[tree.Leaf(record.TableFirst, []byte(fmt.Sprint("user:", i)))]++
	}
	for leaf, n := range count {
		require.InDelta(t, 100, n, 60, "leaf %d", leaf)
	}
}

// replicas are trees of two replicas with keys in common, of which differ hold something
// else.
func replicas(depth, partitions, keys, differ int) (a, b []*merkle.Tree, apart map[merkle.Node]int, in map[merkle.Node]int) {
	apart, in = map[merkle.Node]int{}, map[merkle.Node]int{}
	for range partitions {
		a, b = append(a, merkle.New(depth)), append(b, merkle.New(depth))
	}
	var key [16]byte
	for i := range keys {
		binary.BigEndian.PutUint64(key[8:], uint64(i))
		p := i % partitions
		leaf := a[p].Leaf(record.TableFirst, key[:])
		sum := uint64(i)*0x9e3779b97f4a7c15 + 1
		a[p].Add(leaf, sum)
		n := merkle.Node{Partition: p, Level: depth, Index: leaf}
		in[n]++
		if i < differ {
			sum++
			apart[n]++
		}
		b[p].Add(leaf, sum)
	}
	return a, b, apart, in
}

// walked walks two replicas' trees, and counts questions, and bytes of sums and of nodes.
func walked(a, b []*merkle.Tree, leavesMax int) (w *merkle.Walk, rounds, bytes int) {
	var partitions []int
	for p := range a {
		partitions = append(partitions, p)
	}
	w = merkle.NewWalk(a[0].Depth(), partitions)
	for {
		nodes := w.Next(8192)
		if len(nodes) == 0 {
			return w, rounds, bytes
		}
		var mine, theirs []uint64
		for _, n := range nodes {
			mine = append(mine, a[n.Partition].At(n.Level, n.Index))
			theirs = append(theirs, b[n.Partition].At(n.Level, n.Index))
			bytes += 8 + 1 + 1 + 3 // a sum; a node as msgpack, at most
		}
		rounds++
		w.Compare(mine, theirs, leavesMax)
	}
}

func TestAWalkFindsTheLeavesThatDiffer(t *testing.T) {
	for _, differ := range []int{0, 1, 10, 500} {
		a, b, apart, _ := replicas(4, 5, 20000, differ)
		w, rounds, _ := walked(a, b, 1<<20)
		require.Len(t, w.Leaves(), len(apart))
		for i, n := range w.Leaves() {
			require.Positive(t, apart[n])
			if i > 0 {
				require.NotEqual(t, w.Leaves()[i-1], n)
			}
		}
		if differ == 0 {
			require.Equal(t, 1, rounds, "one question where nothing differs")
		}
	}
	a, b, apart, _ := replicas(4, 5, 20000, 500)
	w, _, _ := walked(a, b, 10)
	require.Len(t, w.Leaves(), 10, "leaves that are kept are bounded")
	require.Equal(t, len(apart), w.Differ)
}

// What finding differences costs on the wire: sums on the way down, and the names of the
// cells in the leaves that differ, 16-byte keys, by each side.
func wire(keys, differ int) (rounds, bytes int) {
	const partitions = 33
	a, b, apart, in := replicas(merkle.DepthOf(partitions), partitions, keys, differ)
	w, rounds, bytes := walked(a, b, 1<<20)
	for _, n := range w.Leaves() {
		bytes += in[n]*(1+2+16+1+9) + 3*5
	}
	_ = apart
	return rounds, bytes
}

func TestFindingDifferencesIsCheapOnTheWire(t *testing.T) {
	rounds, bytes := wire(100_000, 0)
	require.Equal(t, 1, rounds)
	require.Less(t, bytes, 1<<10)
	_, bytes = wire(1_000_000, 1000)
	require.Less(t, bytes, 1<<20)
}

// BenchmarkWire counts what finding 1,000 differences among ten million keys costs.
func BenchmarkWire(b *testing.B) {
	for b.Loop() {
		rounds, bytes := wire(10_000_000, 1000)
		b.ReportMetric(float64(bytes), "bytes")
		b.ReportMetric(float64(rounds), "rounds")
	}
}

// BenchmarkUpkeep is what a write costs: the sums of what was held and is, and the tree.
func BenchmarkUpkeep(b *testing.B) {
	tree := merkle.New(5)
	var s merkle.Summer
	value := make([]byte, 128)
	key := make([]byte, 16)
	was, is := versionOf(1, string(value)), versionOf(2, string(value))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, uint64(i))
		c := record.Cell{Table: record.TableFirst, Key: key}
		before := s.Sum(&c, []record.Version{was})
		after := s.Sum(&c, []record.Version{is})
		tree.Add(tree.Leaf(c.Table, c.Key), after-before)
	}
}
