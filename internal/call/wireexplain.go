package call

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const (
	contenderFields = 9
	reasonsMax      = 16
)

// EncodeExplanation returns the bytes of what an election would come to.
func EncodeExplanation(x topology.Explanation) []byte {
	w := begin(12)
	if x.Reign > 0 { // only where it was asked for, so that who knows format 1 reads all else
		w = beginAs(2, 13)
	}
	w.Uint(x.Term)
	w.Str(string(x.Leader))
	w.Str(text(x.Policy))
	w.Bool(x.Elects)
	w.Bool(x.Paused)
	w.Str(string(x.Winner))
	w.Str(text(x.Why))
	w.Uint(uint64(max(0, x.BackOff)))
	w.Bool(x.Known)
	w.Uint(x.Tail)
	w.Uint(x.Lost)
	w.Array(contenderFields * len(x.Contenders))
	for _, c := range x.Contenders {
		w.Str(string(c.Node))
		w.Str(string(c.Role))
		w.Bool(c.Answers)
		w.Bool(c.InSync)
		w.Uint(c.Term)
		w.Uint(uint64(c.End))
		w.Uint(c.Behind)
		w.Uint(c.Loses)
		w.Array(min(reasonsMax, len(c.Reasons)))
		for _, r := range c.Reasons[:min(reasonsMax, len(c.Reasons))] {
			w.Str(text(r))
		}
	}
	if x.Reign > 0 {
		w.Uint(uint64(x.Reign))
	}
	return w.Bytes()
}

// DecodeExplanation reads what EncodeExplanation returned.
func DecodeExplanation(b []byte) (topology.Explanation, error) {
	r, f, err := openAny(2, b, 12, 13)
	if err != nil {
		return topology.Explanation{}, err
	}
	x := topology.Explanation{
		Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Policy: r.StrMax(textBytesMax), Elects: r.Bool(), Paused: r.Bool(),
		Winner: topology.NodeID(r.StrMax(nameBytesMax)), Why: r.StrMax(textBytesMax), BackOff: time.Duration(r.UintMax(1<<63 - 1)),
		Known: r.Bool(), Tail: r.Uint(), Lost: r.Uint(),
	}
	n := r.ArrayMax(contenderFields * nodesMax)
	if n%contenderFields != 0 {
		r.Fail("contenders are not whole")
	}
	for n /= contenderFields; n > 0 && r.Err() == nil; n-- {
		c := topology.Contender{
			Node: topology.NodeID(r.StrMax(nameBytesMax)), Role: topology.Role(r.StrMax(nameBytesMax)), Answers: r.Bool(), InSync: r.Bool(),
			Term: r.Uint(), End: record.LSN(r.Uint()), Behind: r.Uint(), Loses: r.Uint(),
		}
		for k := r.ArrayMax(reasonsMax); k > 0 && r.Err() == nil; k-- {
			c.Reasons = append(c.Reasons, r.StrMax(textBytesMax))
		}
		x.Contenders = append(x.Contenders, c)
	}
	if f > 1 {
		x.Reign = time.Duration(r.UintMax(1<<63 - 1))
	}
	return x, done(&r)
}
