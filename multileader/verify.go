package multileader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// roundsMax is how often cells that differ are looked at before they are left as
// undecided: they were written to all the time.
const roundsMax = 8

// lookTimeout is how long a look waits for the writes that it needs, and for its answer.
const lookTimeout = 15 * time.Second

// comparer is the part of an engine that holds what it has against others.
type comparer struct {
	e      *engine
	places chan struct{} // one for each question that is being answered
}

// exam is one comparison with one node.
type exam struct {
	*comparer
	o    topology.VerifyOptions
	peer topology.VerifiedPeer
	pace time.Time // when the next part may be read
	out  *topology.Verification
}

// Verify implements topology.Verifier.
func (cp *comparer) Verify(ctx context.Context, o topology.VerifyOptions) (out topology.Verification, err error) {
	e := cp.e
	fail := func(err error) error { return e.errorOf("verify", topology.NotApplied, err) }
	if o.From != "" {
		if s := e.roster().Seat(core.Site(o.From)); s == nil || !s.Here() || o.From == e.site {
			return out, fail(fmt.Errorf("%w: %q is not another site: nothing can be taken from it", topology.ErrMalformed, o.From))
		}
		if e.group.Status().Role != topology.RoleLeader {
			return out, e.group.Refusal("verify")
		}
	}
	for _, t := range o.Tables {
		if !(span{record.Cell{Table: t}, record.Cell{Table: t + 1}}).within() {
			return out, fail(fmt.Errorf("%w: table %d is not one that sites have in common", topology.ErrMalformed, t))
		}
		if err := notHeld(e, t); err != nil {
			return out, fail(err)
		}
	}
	out = cp.compare(ctx, o, cp.others(0))
	if o.From == "" {
		return out, nil
	}
	return out, cp.repair(ctx, &out, o.From)
}

// compare compares with some nodes, of each choice of them with one that answers.
func (cp *comparer) compare(ctx context.Context, o topology.VerifyOptions, with [][]topology.Member) (out topology.Verification) {
	for _, nodes := range with {
		var x *exam
		var err error
		for _, m := range nodes {
			x = &exam{comparer: cp, o: o, peer: topology.VerifiedPeer{Node: m.ID, Site: m.Site}, out: &out}
			if err = x.run(ctx); err == nil || ctx.Err() != nil || x.peer.Cells > 0 {
				break
			}
		}
		if err != nil {
			x.peer.Problem = err.Error()
		}
		out.Peers = append(out.Peers, x.peer)
		if ctx.Err() != nil {
			break
		}
	}
	return out
}

const (
	verifyFirst       = 10 * time.Minute // after the start, or VerifyEvery if that is less
	verifyBytesPerSec = 8 << 20
)

// verifyAll compares again and again, while this node leads its site. Of two sites the
// one with the smaller number does it.
func (cp *comparer) verifyAll(ctx context.Context) error {
	e := cp.e
	if e.o.VerifyEvery < 0 {
		return nil
	}
	t := time.NewTimer(min(verifyFirst, e.o.VerifyEvery))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		var apart []string
		if e.group.Status().Role == topology.RoleLeader {
			for _, p := range cp.compare(ctx, topology.VerifyOptions{BytesPerSec: verifyBytesPerSec}, cp.others(e.seated(e.site).Number)).Peers {
				switch {
				case p.Differ > 0:
					apart = append(apart, fmt.Sprintf("%d cells differ from what %s of site %s holds: `triad verify` names them", p.Differ, p.Node, p.Site))
				case p.Problem != "" && ctx.Err() == nil:
					e.log.Warn("a comparison did not come to its end", "peer", p.Node, "site", p.Site, "err", p.Problem)
				}
			}
		}
		e.stats.mu.Lock()
		e.stats.apart = apart
		e.stats.mu.Unlock()
		t.Reset(e.o.VerifyEvery)
	}
}

// others are the nodes to compare with: of each other site with a number above one that
// answers, in the order in which they are asked, and every other one of this site.
func (cp *comparer) others(above uint32) (out [][]topology.Member) {
	e := cp.e
	view, _ := e.all.View()
	for _, s := range e.here() {
		if s.Number <= above && s.Name != e.site {
			continue
		}
		var nodes []topology.Member
		for _, m := range view.Members {
			if m.Site != s.Name || m.ID == e.env.Self || slices.Contains(e.o.Group.Witnesses, m.ID) {
				continue
			}
			if s.Name == e.site {
				out = append(out, []topology.Member{m})
				continue
			}
			nodes = append(nodes, m)
		}
		if l := e.link(core.Site(s.Name)); l != nil {
			_, _, first := l.state()
			slices.SortStableFunc(nodes, func(a, b topology.Member) int {
				switch first {
				case a.ID:
					return -1
				case b.ID:
					return 1
				}
				return 0
			})
		}
		if len(nodes) > 0 {
			out = append(out, nodes)
		}
	}
	return out
}

// ask asks the other node. What it answers aliases nothing.
func (x *exam) ask(ctx context.Context, q question) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	b, err := x.e.env.Transport.Call(ctx, x.peer.Node, methodVerify, q.encode())
	if err != nil {
		return answer{}, err
	}
	return decodeAnswer(b)
}

// look is a view of this node's store that shows the writes of after.
func (x *exam) look(ctx context.Context, after version.Vector) (*viewer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return x.comparer.look(ctx, after)
}

// run compares all that both sites hold, part by part.
func (x *exam) run(ctx context.Context) error {
	for _, s := range but(shared(x.o.Tables), apart(x.e, x.peer.Site)) {
		for compareCells(s.from, s.to) < 0 {
			next, suspects, err := x.part(ctx, s)
			if err == nil {
				err = x.settle(ctx, suspects)
			}
			if err != nil {
				return err
			}
			s.from = next
		}
	}
	return nil
}

// part compares the beginning of a span, and returns where the rest begins and what
// differs at first sight.
func (x *exam) part(ctx context.Context, s span) (next record.Cell, suspects map[string]*suspect, err error) {
	v, err := x.look(ctx, nil)
	if err != nil {
		return next, nil, err
	}
	defer func() { err = errors.Join(err, v.view.Close()) }()
	spans, sums, read, err := v.cut(s)
	if err != nil {
		return next, nil, err
	}
	if err := x.wait(ctx, read); err != nil {
		return next, nil, err
	}
	a, err := x.ask(ctx, question{form: formSums, spans: spans})
	if err == nil && len(a.sums) != len(spans) {
		err = fmt.Errorf("%w: %d sums of %d spans", topology.ErrMalformed, len(a.sums), len(spans))
	}
	if err != nil {
		return next, nil, err
	}
	suspects = map[string]*suspect{}
	for i := range spans {
		x.peer.Cells += sums[i].cells
		if sums[i] == a.sums[i] {
			continue
		}
		if err := x.differ(ctx, v, spans[i], suspects); err != nil {
			return next, nil, err
		}
	}
	return spans[len(spans)-1].to, suspects, nil
}

// cut cuts the beginning of a span into spans of about equally many cells; the last one
// reaches to the end, if there are no more.
func (v *viewer) cut(s span) (spans []span, sums []total, read int, err error) {
	cur, t := s, total{}
	err = v.each(s, func(h holding) bool {
		if t.cells == spanCells {
			cur.to = h.cell.Clone()
			spans, sums = append(spans, cur), append(sums, t)
			cur, t = span{cur.to, s.to}, total{}
		}
		if len(spans) == spansMax {
			return false
		}
		t.cells++
		t.sum = t.sum.Add(h.sum)
		read += len(h.cell.Key) + len(h.cell.Field) + len(h.state)
		return true
	})
	if len(spans) < spansMax {
		spans, sums = append(spans, cur), append(sums, t)
	}
	return spans, sums, read, err
}

// wait lets as much be read as is due.
func (x *exam) wait(ctx context.Context, read int) error {
	if x.o.BytesPerSec <= 0 {
		return nil
	}
	now := time.Now()
	if x.pace.Before(now) {
		x.pace = now
	}
	x.pace = x.pace.Add(time.Duration(float64(read) / float64(x.o.BytesPerSec) * float64(time.Second)))
	t := time.NewTimer(x.pace.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// suspect is a cell that was seen to differ.
type suspect struct {
	cell record.Cell
	core.Suspect
}

// suspectsMax is how many are looked at together; what else differs in a part is found
// by the next comparison.
const suspectsMax = 4096

// differ finds the cells of a span that differ.
func (x *exam) differ(ctx context.Context, v *viewer, s span, suspects map[string]*suspect) error {
	for compareCells(s.from, s.to) < 0 && len(suspects) < suspectsMax {
		a, err := x.ask(ctx, question{form: formCells, most: cellsAskedMax, spans: []span{s}})
		if err != nil {
			return err
		}
		page := s
		if a.more {
			if len(a.holdings) == 0 {
				return fmt.Errorf("%w: more cells than none", topology.ErrMalformed)
			}
			page.to = behind(a.holdings[len(a.holdings)-1].cell)
		}
		sums := map[string]*core.Look{}
		cells := map[string]record.Cell{}
		at := func(c record.Cell) *core.Look {
			k := cellOf(c)
			if sums[k] == nil {
				sums[k], cells[k] = &core.Look{MineAt: v.at, TheirsAt: a.at}, c.Clone()
			}
			return sums[k]
		}
		for i := range a.holdings {
			at(a.holdings[i].cell).Theirs = a.holdings[i].sum
		}
		if err := v.each(page, func(h holding) bool { at(h.cell).Mine = h.sum; return true }); err != nil {
			return err
		}
		for k, l := range sums {
			sus := &suspect{cell: cells[k]}
			if sus.Judge(*l) == core.Open {
				suspects[k] = sus
			}
		}
		s.from = page.to
	}
	return nil
}

// settle looks at suspects again until it is known of each whether it differs.
func (x *exam) settle(ctx context.Context, suspects map[string]*suspect) error {
	for round := 0; len(suspects) > 0 && round < roundsMax; round++ {
		keys := slices.Sorted(maps.Keys(suspects))
		for part := range slices.Chunk(keys, spansMax) {
			if err := x.again(ctx, suspects, part); err != nil {
				return err
			}
		}
	}
	x.peer.Undecided += len(suspects)
	return nil
}

// again takes one more look at some suspects, which are of one batch and so of one
// pair of vectors or of older ones.
func (x *exam) again(ctx context.Context, suspects map[string]*suspect, keys []string) error {
	var mine, theirs version.Vector
	q := question{form: formCells, most: cellsAskedMax}
	for _, k := range keys {
		m, t := suspects[k].Next()
		mine, theirs = mine.Join(m), theirs.Join(t)
		q.spans = append(q.spans, only(suspects[k].cell))
	}
	q.after = theirs
	v, err := x.look(ctx, mine)
	if err != nil {
		return err
	}
	own, _, err := v.list(q.spans, cellsAskedMax, false)
	if err = errors.Join(err, v.view.Close()); err != nil {
		return err
	}
	a, err := x.ask(ctx, q)
	if err != nil {
		return err
	}
	sums := func(hs []holding) map[string]core.Sum {
		m := map[string]core.Sum{}
		for i := range hs {
			m[cellOf(hs[i].cell)] = hs[i].sum
		}
		return m
	}
	here, there := sums(own), sums(a.holdings)
	for _, k := range keys {
		switch suspects[k].Judge(core.Look{Mine: here[k], Theirs: there[k], MineAt: v.at, TheirsAt: a.at}) {
		case core.Alike:
			delete(suspects, k)
		case core.Differs:
			if err := x.found(ctx, suspects[k].cell); err != nil {
				return err
			}
			delete(suspects, k)
		}
	}
	return nil
}

// found notes a cell that differs, with what each side holds.
func (x *exam) found(ctx context.Context, c record.Cell) error {
	x.peer.Differ++
	x.e.log.Error("a cell differs from what another node holds", "peer", x.peer.Node, "site", x.peer.Site, "table", c.Table, "key", string(c.Key))
	if len(x.out.Differences) >= topology.DifferencesMax {
		return nil
	}
	d := topology.Difference{Peer: x.peer.Node, Site: x.peer.Site, Cell: c}
	a, err := x.ask(ctx, question{form: formStates, most: 1, spans: []span{only(c)}})
	if err != nil {
		return err
	}
	var mine, theirs record.State
	b, err := x.e.cells.Get(c)
	if err == nil && b != nil {
		err = record.DecodeState(bytes.Clone(b), &mine)
	}
	if err == nil && len(a.holdings) > 0 {
		err = record.DecodeState(a.holdings[0].state, &theirs)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	d.Mine, d.Theirs = mine.Siblings, theirs.Siblings
	x.out.Differences = append(x.out.Differences, d)
	return nil
}
