package quorum

import "fmt"

// Consistency says whom a leaderless request needs (rule L2). The zero value is
// AtQuorum. Their numbers stand on the wire, and do not change.
type Consistency uint8

// The consistencies. W and R of a table intersect, and reads see what was
// acknowledged, if together they need more than there are replicas.
const (
	AtQuorum Consistency = iota // more than half
	AtOne
	AtAll
	AtTwo
	AtLocalOne    // one in the site from which is asked
	AtLocalQuorum // more than half of those in the site from which is asked
	AtEachQuorum  // more than half in every site

	consistencies = 7
)

var consistencyNames = [consistencies]string{"quorum", "one", "all", "two", "local_one", "local_quorum", "each_quorum"}

func (c Consistency) String() string {
	if c < consistencies {
		return consistencyNames[c]
	}
	return fmt.Sprintf("Consistency(%d)", uint8(c))
}

// Valid reports whether c is one of the consistencies.
func (c Consistency) Valid() bool { return c < consistencies }

// Local reports whether c asks replicas of one site alone: that of who asks.
func (c Consistency) Local() bool { return c == AtLocalOne || c == AtLocalQuorum }

// Sited reports whether c counts by sites, and so means nothing where there are none.
func (c Consistency) Sited() bool { return c.Local() || c == AtEachQuorum }

// Needed returns how many of n replicas c needs, all of one site if it counts by sites.
func (c Consistency) Needed(n int) int {
	switch c {
	case AtOne, AtLocalOne:
		return min(1, n)
	case AtTwo:
		return min(2, n)
	case AtAll:
		return n
	}
	return n/2 + 1
}

// CountNeed returns the need of any needed of members. Its errors wrap [ErrPolicy]: a
// list that [NewRule] would not take either, or a number that is not among 1 and the
// members'.
func CountNeed[N ~string](needed int, members []N) (Need[N], error) {
	if err := checkNames("replicas", members); err != nil {
		return Need[N]{}, err
	}
	if needed < 1 || needed > len(members) {
		return Need[N]{}, fmt.Errorf("%w: %d of %d replicas", ErrPolicy, needed, len(members))
	}
	n := Need[N]{members: members}
	n.form = form{need: needed, of: n.all()}
	return n, nil
}

// CountTally returns an empty tally of [CountNeed].
func CountTally[N ~string](needed int, members []N) (Tally[N], error) {
	n, err := CountNeed(needed, members)
	return n.Tally(), err
}
