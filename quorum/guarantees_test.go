package quorum_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
)

func counts(t require.TestingT, r, w int) quorum.Setting[node] {
	read, err := quorum.Bind(quorum.Count(r), three(), "")
	require.NoError(t, err)
	write, err := quorum.Bind(quorum.Count(w), three(), "")
	require.NoError(t, err)
	return quorum.Setting[node]{Reads: []quorum.Need[node]{read}, Writes: []quorum.Need[node]{write}}
}

func TestGuaranteesOfUsualTables(t *testing.T) {
	for _, c := range []struct {
		r, w    int
		change  func(*quorum.Setting[node])
		reading string
		holds   string
	}{
		{2, 2, nil, "fresh", "converges, durable, keeps concurrent writes, fresh, reads its own writes, writes meet"},
		{1, 1, nil, "may be stale", "converges, keeps concurrent writes"},
		{1, 3, nil, "fresh", "converges, durable, keeps concurrent writes, fresh, reads its own writes, writes meet"},
		{2, 2, func(s *quorum.Setting[node]) { s.Repair, s.Order = quorum.RepairBlocking, quorum.OrderTime }, "fresh and monotonic", "converges, durable, fresh, reads its own writes, monotonic, writes meet"},
		{1, 1, func(s *quorum.Setting[node]) { s.Repair = quorum.RepairBlocking }, "monotonic", "converges, keeps concurrent writes, monotonic"},
		{1, 1, func(s *quorum.Setting[node]) { s.Repair = quorum.RepairWriteBack }, "may be stale", "converges, keeps concurrent writes"},
		{2, 2, func(s *quorum.Setting[node]) { s.Repair, s.Order = quorum.RepairWriteBack, quorum.OrderTag }, "linearizable", "converges, durable, fresh, reads its own writes, monotonic, linearizable, writes meet"},
		{2, 2, func(s *quorum.Setting[node]) {
			s.Repair, s.Order, s.Sloppy = quorum.RepairWriteBack, quorum.OrderTag, true
		}, "may be stale", "converges, durable"},
		{2, 2, func(s *quorum.Setting[node]) {
			s.Repair, s.Order, s.Received = quorum.RepairWriteBack, quorum.OrderTag, true
		}, "may be stale", "converges, writes meet"},
		{2, 2, func(s *quorum.Setting[node]) { s.Order = quorum.OrderWall }, "may be stale", "converges, durable, writes meet"},
	} {
		s := counts(t, c.r, c.w)
		if c.change != nil {
			c.change(&s)
		}
		g, err := quorum.Guarantees(s)
		require.NoError(t, err)
		require.Equal(t, c.reading, g.Reading())
		require.Equal(t, c.holds, g.Holds.String())
		require.Len(t, g.Lines, 8)
		for i, l := range g.Lines {
			require.Equal(t, quorum.Promise(1)<<i, l.Promise)
			require.Equal(t, g.Holds&l.Promise != 0, l.Holds)
			require.NotEmpty(t, l.Says)
			require.NotContains(t, l.Says, "\x00")
		}
	}
	_, err := quorum.Guarantees(quorum.Setting[node]{})
	require.ErrorIs(t, err, quorum.ErrExpr)
}

func TestGuaranteesNameTheSetsThatDoNotMeet(t *testing.T) {
	g, err := quorum.Guarantees(counts(t, 1, 2))
	require.NoError(t, err)
	require.Contains(t, g.Lines[3].Says, "a read of [a] does not meet a write to [b c]")
	require.Equal(t, 1, g.Survives)
}

func TestALocalQuorumIsFreshInItsOwnSiteAlone(t *testing.T) {
	rs := inSites("us", "us", "us", "eu", "eu", "eu")
	var s quorum.Setting[node]
	for _, site := range []string{"us", "eu"} {
		s.Reads = append(s.Reads, bind(t, "local_quorum", rs, site))
		s.Writes = append(s.Writes, bind(t, "local_quorum", rs, site))
	}
	g, err := quorum.Guarantees(s)
	require.NoError(t, err)
	require.Zero(t, g.Holds&quorum.Fresh)
	require.NotZero(t, g.Holds&quorum.ReadsYours)
	require.Equal(t, "a client that stays in its site meets its own writes there", g.Lines[4].Says)
	require.Contains(t, g.Lines[3].Says, "a read of [a b] does not meet a write to [d e]")

	s.Sloppy = true
	g, err = quorum.Guarantees(s)
	require.NoError(t, err)
	require.Zero(t, g.Holds&quorum.ReadsYours)

	s.Sloppy = false
	s.Writes = []quorum.Need[node]{bind(t, "each_quorum", rs, "")}
	g, err = quorum.Guarantees(s)
	require.NoError(t, err)
	require.NotZero(t, g.Holds&quorum.Fresh, "each quorum meets every local one")
	require.Equal(t, 3, g.Survives)
}

// small is a model of three replicas and two writes, small enough to try
// everything: what it finds broken may not be promised, and what it can not break
// may not be denied.
type small struct {
	s    quorum.Setting[node]
	need [2]func(uint64) bool // read, write
}

const everywhere = uint64(7)

// after yields where a version may be found that a set has acknowledged, once what
// the setting allows to go wrong has gone wrong.
func (m *small) after(acked uint64) (out []uint64) {
	for lost := range everywhere + 1 {
		if lost == 0 || m.s.Sloppy || m.s.Received {
			out = append(out, acked&^lost)
		}
	}
	return out
}

// each yields every set that is enough for reads (0) or writes (1).
func (m *small) each(of int) (out []uint64) {
	for set := range everywhere + 1 {
		if m.need[of](set) {
			out = append(out, set)
		}
	}
	return out
}

// smaller says whether a write may get a smaller stamp than an acknowledged one
// that it had seen, or that had been acknowledged before it began.
func (m *small) smaller(seen bool) bool {
	switch m.s.Order {
	case quorum.OrderWall:
		return true
	case quorum.OrderTime:
		return !seen
	case quorum.OrderTag: // its counter is read from the replicas
		return m.misses()
	}
	return false
}

// misses: a read may find nothing of an acknowledged write.
func (m *small) misses() bool {
	for _, w := range m.each(1) {
		for _, at := range m.after(w) {
			for _, r := range m.each(0) {
				if r&at == 0 {
					return true
				}
			}
		}
	}
	return false
}

func (m *small) breaks(p quorum.Promise) bool {
	switch p {
	case quorum.Durable:
		for _, w := range m.each(1) {
			if w&(w-1) == 0 || m.s.Received {
				return true
			}
		}
	case quorum.KeepsWrites:
		return m.s.Order > quorum.OrderMerged
	case quorum.Fresh, quorum.ReadsYours:
		return m.misses() || m.s.Order == quorum.OrderWall && m.smaller(true)
	case quorum.Monotonic:
		return m.goesBack()
	case quorum.Linearizable: // a read after two writes, one after the other, shows the second, and no other
		return m.breaks(quorum.Fresh) || m.goesBack() || m.smaller(false) || m.s.Order <= quorum.OrderMerged
	case quorum.WritesMeet:
		for _, v := range m.each(1) {
			for _, w := range m.each(1) {
				if v&w == 0 || m.s.Sloppy {
					return true
				}
			}
		}
	}
	return false
}

// goesBack: a write that has reached some replicas is seen, and then not.
func (m *small) goesBack() bool {
	for at := uint64(1); at <= everywhere; at++ {
		for stands := at; stands <= everywhere; stands++ {
			if stands&at != at || !m.mayShow(at, stands) {
				continue
			}
			for _, left := range m.after(stands) {
				for _, r := range m.each(0) {
					if r&left == 0 {
						return true
					}
				}
			}
		}
	}
	return false
}

// mayShow reports whether a read that found a version at some replicas may show it
// once it stands on others too.
func (m *small) mayShow(at, stands uint64) bool {
	switch m.s.Repair {
	case quorum.RepairBlocking:
		for _, r := range m.each(0) {
			if r&stands == 0 {
				return false
			}
		}
		return true
	case quorum.RepairWriteBack:
		return m.need[1](stands)
	}
	return at == stands
}

func TestWhatIsPromisedHoldsAndWhatIsDeniedCanBeBroken(t *testing.T) {
	for i := range 3 * 3 * 4 * 5 * 4 {
		r, w, rest := 1+i%3, 1+i/3%3, i/9
		s := counts(t, r, w)
		s.Repair, s.Order = quorum.Repair(rest%4), quorum.Order(rest/4%5)
		s.Sloppy, s.Received = rest/20%2 == 1, rest/40 == 1
		m := small{s: s, need: [2]func(uint64) bool{s.Reads[0].Met, s.Writes[0].Met}}
		g, err := quorum.Guarantees(s)
		require.NoError(t, err)
		for _, l := range g.Lines[1:] {
			require.Equal(t, !m.breaks(l.Promise), l.Holds, "%s: R %d W %d, repair %v, order %v, sloppy %v, received %v: %s",
				l.Promise, r, w, s.Repair, s.Order, s.Sloppy, s.Received, l.Says)
		}
	}
}

func TestWordsOfASetting(t *testing.T) {
	require.Equal(t, "none async blocking write-back ?", strings.Trim(fmt.Sprint([]quorum.Repair{0, 1, 2, 3, 4}), "[]"))
	require.Equal(t, "siblings merged time wall tag ?", strings.Trim(fmt.Sprint([]quorum.Order{0, 1, 2, 3, 4, 5}), "[]"))
}
