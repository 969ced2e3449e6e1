package quorum

import "fmt"

// Consistency says how many replicas a leaderless request needs (rule L2). The
// zero value is AtQuorum.
type Consistency uint8

// The consistencies. W and R of a table intersect, and reads see what was
// acknowledged, if together they need more than there are replicas.
const (
	AtQuorum Consistency = iota // more than half
	AtOne
	AtAll
)

func (c Consistency) String() string {
	switch c {
	case AtQuorum:
		return "quorum"
	case AtOne:
		return "one"
	case AtAll:
		return "all"
	}
	return fmt.Sprintf("Consistency(%d)", uint8(c))
}

// Needed returns how many of n replicas c needs.
func (c Consistency) Needed(n int) int {
	switch c {
	case AtOne:
		return min(1, n)
	case AtAll:
		return n
	}
	return n/2 + 1
}

// CountTally returns an empty tally that is reached once any needed of members
// have said yes. Its errors wrap [ErrPolicy]: a list that [NewRule] would not
// take either, or a number that is not among 1 and the members'.
func CountTally[N ~string](needed int, members []N) (Tally[N], error) {
	if err := checkNames("replicas", members); err != nil {
		return Tally[N]{}, err
	}
	if needed < 1 || needed > len(members) {
		return Tally[N]{}, fmt.Errorf("%w: %d of %d replicas", ErrPolicy, needed, len(members))
	}
	n := Need[N]{members: members}
	n.form = form{need: needed, of: n.all()}
	return n.Tally(), nil
}
