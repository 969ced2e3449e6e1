package core

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// expire writes the delete of a value whose time is over, where this node is the first of
// the replicas that are alive, to its knowledge; two that think so do no harm. The shell
// tells what is held. A value's expiry is part of it, the same at all replicas, and hides
// it from readers; that it is gone is a write like any other, so that no replica's clock
// makes it hold less than others do.
//
// The delete covers the value and sorts right behind it, not at the time of the clock: of
// a put that has not been seen here nobody's expiry may be the end. So it is the one
// write that does not sort behind all of its coordinator's (C3). It needs no
// answer; the exchange of applied sets brings it to the others.
func expire(c *Core, ev *Event) {
	if !c.votes() || len(ev.Cells) != 1 {
		return
	}
	h := &ev.Cells[0]
	replicas := c.cfg.Map.Replicas(placement.Of(c.cfg.Map, h.Table, h.Key))
	s := c.share(placement.Of(c.cfg.Map, h.Table, h.Key))
	if i := slices.IndexFunc(replicas, c.isAlive); s == nil || i < 0 || replicas[i] != c.Self {
		return
	}
	v := newest(&h.State)
	if v.Absent || v.Expires == 0 || v.Expires > version.TimestampAt(c.now.Add(-c.cfg.skew())) || len(c.tail) >= c.cfg.Limits.Unflushed {
		return
	}
	if slices.ContainsFunc(c.tail, func(t tailed) bool { return t.expires == v.Dot }) {
		return // it is on its way to the disk
	}
	seen := &version.Set{}
	seen.Add(v.Dot)
	s.seq++
	r := record.Record{
		Dot: version.Dot{Origin: s.own, Seq: s.seq}, Time: v.Time + 1, Term: uint64(c.Life), Context: seen,
		Mutations: []record.Mutation{{Table: h.Table, Key: h.Key, Field: h.Field, Op: record.OpDelete, Kind: v.Kind}},
	}
	b := c.enc.Append(nil, &r)
	c.Counts.Expired++
	c.append(s, r.Dot, record.Entry{Sum: record.Sum(b), Bytes: b}, waiting{})
	c.tail[len(c.tail)-1].expires = v.Dot
}

// skew is how far clocks may be apart: a value is hidden everywhere before it is deleted.
func (cfg *Config) skew() (d time.Duration) {
	if d = cfg.MaxSkew; d == 0 {
		d = version.MaxSkewDefault
	}
	return d
}
