package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Filter is a table that some sites hold, and the others do not (rule M9).
type Filter struct {
	Table record.TableID
	Name  string // for people
	Sites []Site // that hold it
}

// Filters are the tables that not every site holds, each once. All sites know the same.
type Filters []Filter

func (fs Filters) find(t record.TableID) *Filter {
	i := slices.IndexFunc(fs, func(f Filter) bool { return f.Table == t })
	if i < 0 {
		return nil
	}
	return &fs[i]
}

// Holds reports whether a site holds a table.
func (fs Filters) Holds(s Site, t record.TableID) bool {
	f := fs.find(t)
	return f == nil || slices.Contains(f.Sites, s)
}

// Without returns the tables that a site does not hold, ascending.
func (fs Filters) Without(s Site) (ts []record.TableID) {
	for i := range fs {
		if !slices.Contains(fs[i].Sites, s) {
			ts = append(ts, fs[i].Table)
		}
	}
	slices.Sort(ts)
	return ts
}

// Covers reports whether a site holds all that another one holds.
func (fs Filters) Covers(s, other Site) bool {
	for i := range fs {
		if slices.Contains(fs[i].Sites, other) && !slices.Contains(fs[i].Sites, s) {
			return false
		}
	}
	return true
}

// Name is what people call a table.
func (fs Filters) Name(t record.TableID) string {
	if f := fs.find(t); f != nil && f.Name != "" {
		return f.Name
	}
	return fmt.Sprintf("number %d", t)
}

// Refusal is why a site takes no request for a table, nil if it holds it. It wraps
// [topology.ErrUnsupported].
func (fs Filters) Refusal(s Site, t record.TableID) error {
	f := fs.find(t)
	if f == nil || slices.Contains(f.Sites, s) {
		return nil
	}
	return fmt.Errorf("%w: site %s does not hold table %s, by the configuration; ask a node of %s", topology.ErrUnsupported, s, fs.Name(t), sitesText(f.Sites))
}

func sitesText(sites []Site) string {
	if len(sites) == 0 {
		return "no site"
	}
	words := make([]string, len(sites))
	for i, s := range sites {
		words[i] = string(s)
	}
	return strings.Join(words, " or ")
}

// Skip is what stands in a record for what is left out of it: the mutations of some
// tables, in the log of a site that does not hold them and on the way there. The record
// keeps its dot, its time and its deps, so origins stay contiguous, vectors move and
// effects stay behind their causes as if it were whole (rules C2, M2). It is the value of
// a mark [record.MarkSkip], the last mutation of the record, and of all it wrote may be
// the only one; an array of three:
//
//	0  format  uint, 1
//	1  sum     uint: of the whole record, which the chain of its origin goes on with (M1)
//	2  tables  array of n: whose mutations are left out, ascending
type Skip struct {
	Sum    uint32
	Tables []record.TableID
}

const (
	skipFormat    = 1
	skipFields    = 3
	skipTablesMax = record.MutationsMax
)

// Encode returns the value of the mark.
func (s *Skip) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(skipFields)
	w.Uint(skipFormat)
	w.Uint(uint64(s.Sum))
	putTables(w, s.Tables)
	return w.Bytes()
}

func putTables(w *pack.Writer, ts []record.TableID) {
	w.Array(len(ts))
	for _, t := range ts {
		w.Uint(uint64(t))
	}
}

// getTables reads tables in ascending order.
func getTables(r *pack.Reader) (ts []record.TableID) {
	for n := r.ArrayMax(skipTablesMax); n > 0 && r.Err() == nil; n-- {
		t := record.TableID(r.UintMax(1<<32 - 1))
		if k := len(ts); k > 0 && ts[k-1] >= t {
			r.Fail("tables are not in order")
		}
		ts = append(ts, t)
	}
	return ts
}

// SkipOf returns what is left out of a record, nil if it is whole. An error wraps
// [topology.ErrMalformed] or [topology.ErrUnsupported].
func SkipOf(r *record.Record) (*Skip, error) {
	last := len(r.Mutations) - 1
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if m.Op != record.OpMark || m.Table != record.TableSystem || string(m.Key) != record.MarkSkip {
			continue
		}
		if i != last || r.IsNote() {
			return nil, fmt.Errorf("%w: record %v: what is left out stands in the middle of it, or in a note", topology.ErrMalformed, r.Dot)
		}
		return DecodeSkip(m.Value)
	}
	return nil, nil
}

// DecodeSkip reads it. An error wraps [topology.ErrMalformed] or
// [topology.ErrUnsupported].
func DecodeSkip(b []byte) (*Skip, error) {
	r := pack.NewReader(b)
	r.ArrayOf(skipFields)
	if f := r.Uint(); r.Err() == nil && f != skipFormat {
		return nil, fmt.Errorf("what is left out of a record has format %d, this version knows %d: %w", f, skipFormat, topology.ErrUnsupported)
	}
	s := &Skip{Sum: uint32(r.UintMax(1<<32 - 1)), Tables: getTables(&r)}
	if len(s.Tables) == 0 {
		r.Fail("nothing is left out")
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("what is left out of a record: %w: %w", topology.ErrMalformed, err)
	}
	return s, nil
}

// lacks reports whether something is left out that a site holds, and that is not lost.
func (s *Skip) lacks(fs Filters, site Site, lost func(record.TableID) bool) bool {
	return s != nil && slices.ContainsFunc(s.Tables, func(t record.TableID) bool { return fs.Holds(site, t) && !lost(t) })
}

// lostOf says which of what a record wrote, by tables, is lost.
func lostOf(c *Core, d version.Dot) func(record.TableID) bool {
	return func(t record.TableID) bool { return c.roster.IsLost(d, t) }
}

// Reduce returns an item, which decodes to r, without the mutations of some tables; the
// item as it is, if it has none of them. Who reduces what was reduced comes to what he
// would have come to at once.
func Reduce(it Item, r *record.Record, without []record.TableID) Item {
	skip := Skip{Sum: it.sum()}
	if it.Skip != nil {
		skip.Tables = slices.Clone(it.Skip.Tables)
	}
	known := len(skip.Tables)
	var stays []record.Mutation
	for i := range r.Mutations {
		m := &r.Mutations[i]
		switch {
		case m.Op == record.OpMark: // of Triad's own; the skip is put anew
			if string(m.Key) != record.MarkSkip {
				stays = append(stays, *m)
			}
		case slices.Contains(without, m.Table):
			skip.add(m.Table)
		default:
			stays = append(stays, *m)
		}
	}
	if len(skip.Tables) == known {
		return it
	}
	out := *r
	out.Mutations = append(stays, record.Mutation{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkSkip), Value: skip.Encode()})
	b := record.NewEncoder().Append(nil, &out)
	it.Entry.Sum, it.Entry.Bytes, it.Skip = record.Sum(b), b, &skip
	return it
}

func (s *Skip) add(t record.TableID) {
	if i, ok := slices.BinarySearchFunc(s.Tables, t, cmp.Compare[record.TableID]); !ok {
		s.Tables = slices.Insert(s.Tables, i, t)
	}
}

// share is what a peer holds, held against what this site does.
type share struct {
	without []record.TableID // what it does not hold
	lacks   bool             // it does not hold all that this site holds
}

func shareOf(fs Filters, self, peer Site) share {
	return share{without: fs.Without(peer), lacks: !fs.Covers(peer, self)}
}

// lean returns an item of the log as a peer is given it: without what that does not hold.
// It reports false if the log lacks of it what the peer holds: then somebody else gives
// it, as nobody passes on as whole what he left out (rule M9).
func lean(c *Core, l *link, it Item) (Item, bool) {
	if it.Skip.lacks(c.cfg.Filters, l.Peer, lostOf(c, it.Dot)) {
		return it, false
	}
	if len(l.share.without) == 0 {
		return it, true
	}
	r, err := it.Entry.Record()
	if err != nil {
		return it, false
	}
	return Reduce(it, &r, l.share.without), true
}

// fit makes of a record that came what this site's log may hold of it. It reports false,
// and has somebody told, if the peer left out what this site holds: the two are not
// configured alike, and the record is as one that has not come.
func (l *link) fit(c *Core, q *queued) (bool, error) {
	if q.Skip.lacks(c.cfg.Filters, c.Self, lostOf(c, q.Dot)) {
		c.Counts.Lacking++
		l.lacksOf(c, q.Dot)
		c.do(Effect{Kind: DoAlarm, Peer: l.Peer, Origin: q.Dot.Origin, Err: fmt.Errorf("%w: site %s leaves out of records what this site holds (table %s): the two are not configured alike; until they are, what it leaves out comes from others alone", topology.ErrConflict, l.Peer, c.cfg.Filters.Name(firstHeld(c, q.Skip)))})
		return false, nil
	}
	if len(c.without) == 0 {
		return true, nil
	}
	was := q.Skip
	if q.Item = Reduce(q.Item, &q.rec, c.without); q.Skip == was {
		return true, nil
	}
	var err error
	q.rec, err = q.Entry.Record()
	return true, err
}

// lacksOf notes that a peer has not what a record says whole, or no more: it is asked for
// elsewhere.
func (l *link) lacksOf(c *Core, d version.Dot) {
	l.gone = l.gone.With(d.Origin, max(l.gone.Get(d.Origin), d.Seq))
	o := c.log.origin(d.Origin)
	o.due, o.asking = 0, 0
}

func firstHeld(c *Core, s *Skip) record.TableID {
	i := slices.IndexFunc(s.Tables, func(t record.TableID) bool { return c.cfg.Filters.Holds(c.Self, t) })
	return s.Tables[i]
}

// bare returns a step of a snapshot, as it came, without cells of tables that this site
// does not hold; of the first step it says which those are.
func bare(c *Core, s *step, r *record.Record, e record.Entry) record.Entry {
	if len(c.without) == 0 {
		return e
	}
	var out record.Record
	switch s.stage {
	case StageBegun:
		all := Skip{Tables: slices.Clone(s.without)}
		for _, t := range c.without {
			all.add(t)
		}
		if len(all.Tables) == len(s.without) {
			return e
		}
		began := *s
		began.without = all.Tables
		out = began.note()
	case StageComing:
		out = *r
		out.Mutations = slices.DeleteFunc(slices.Clone(r.Mutations), func(m record.Mutation) bool {
			return m.Op == record.OpState && slices.Contains(c.without, m.Table)
		})
		if len(out.Mutations) == len(r.Mutations) {
			return e
		}
	default:
		return e
	}
	b := record.NewEncoder().Append(nil, &out)
	return record.Entry{Sum: record.Sum(b), Bytes: b}
}

// missing are the tables that a site holds and another one does not, ascending.
func (fs Filters) missing(s, other Site) (ts []record.TableID) {
	for i := range fs {
		if slices.Contains(fs[i].Sites, s) && !slices.Contains(fs[i].Sites, other) {
			ts = append(ts, fs[i].Table)
		}
	}
	return ts
}

// writesTo reports whether the site of an origin may write to one of some tables.
func writesTo(c *Core, o version.Origin, tables []record.TableID) bool {
	s, _ := c.cfg.site(o)
	return slices.ContainsFunc(tables, func(t record.TableID) bool { return c.cfg.Filters.Holds(s, t) })
}

// giver returns the peer whose snapshot may bring what is missing of an origin, and how much
// of that it has: the one that has most among those that hold all that this site holds, or
// at least all of that to which the site of the origin may write.
func giver(c *Core, o *origin) (best *link, upTo uint64) {
	var first bool
	for _, l := range c.links {
		if !l.up() || !l.told || writesTo(c, o.Origin, c.cfg.Filters.missing(c.Self, l.Peer)) {
			continue
		}
		for _, m := range l.marks {
			if m.Origin != o.Origin {
				continue
			}
			whole := !l.share.lacks && m.Seq > o.placed.Seq
			if whole && !first || whole == first && m.Seq > upTo {
				best, upTo, first = l, m.Seq, whole
			}
		}
	}
	return best, upTo
}
