package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func newRewoundReplay() *cobra.Command {
	c := &cobra.Command{
		Use:   "replay DIR FILE",
		Short: "Write the records of a side file again, where nothing newer is there",
		Long: `Write the records of a side file of a node's data directory again, as new writes: each
record whole or not at all, in the order of the file. Without --yes nothing is written,
and what would be is shown.

A record is left out where one of its keys holds a value that was written later than the
record was; --overwrite writes it all the same. A key that holds nothing is written: that
somebody removed it later can not be seen. What is there already is not written again, so
that a second replay changes nothing.

Tables are known by their numbers: --table 16=users names one. Records that have parts of
rows, sets, maps or counters are not written; "triad rewound export" shows them.
Exit code 1 if a write failed, or its outcome is not known.`,
		Args: exactly("DIR", "FILE"),
	}
	r := remoteFlags(c)
	apply := c.Flags().Bool("yes", false, "write; else only show what would be written")
	overwrite := c.Flags().Bool("overwrite", false, "also where a newer value is")
	tables := c.Flags().StringSlice("table", nil, "NUMBER=NAME of a table that is not default")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := tableNames(*tables)
		if err != nil {
			return err
		}
		for _, err := range rewoundRecords(args[0], args[1]) {
			if err != nil {
				return err // nothing of a damaged file is written
			}
		}
		p := &replay{apply: *apply, overwrite: *overwrite, tables: names, ours: map[place]version.Dot{}, name: requestName()}
		var failed error
		err = r.with(cmd, func(ctx context.Context, c *client.Client) error {
			p.store = c
			failed = p.all(ctx, rewoundRecords(args[0], args[1]))
			return nil
		})
		if err != nil {
			return err
		}
		return errors.Join(r.show(cmd, p.result()), failed)
	}
	return c
}

// tableNames reads the flags that name tables.
func tableNames(flags []string) (map[record.TableID]string, error) {
	names := map[record.TableID]string{record.TableDefault: "default"}
	for _, f := range flags {
		number, name, ok := strings.Cut(f, "=")
		n, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || record.TableID(n) < record.TableFirst || name == "" {
			return nil, usagef("--table: %q is not NUMBER=NAME of a table, as in %d=users", f, record.TableFirst)
		}
		names[record.TableID(n)] = name
	}
	return names, nil
}

// requestName is a client's number for the names of requests.
func requestName() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// replayStore is what a replay needs of a client.
type replayStore interface {
	Get(ctx context.Context, table string, key []byte, opts ...client.Option) (client.Reading, error)
	Put(ctx context.Context, table string, key, value []byte, opts ...client.Option) (client.Receipt, error)
	Delete(ctx context.Context, table string, key []byte, opts ...client.Option) (client.Receipt, error)
	Batch(ctx context.Context, b *client.Batch, opts ...client.Option) (client.Receipt, error)
}

// place is a key of a table.
type place struct{ table, key string }

// replay writes the records of a side file again.
type replay struct {
	store            replayStore
	apply, overwrite bool
	tables           map[record.TableID]string
	ours             map[place]version.Dot // what this replay wrote last, and is not newer than what it has yet to write; zero in a dry run
	name, seq        uint64                // of its requests: the client, and the last
	report           []replayed
}

// replayed is what became of one record.
type replayed struct {
	LSN     uint64   `json:"lsn"`
	Time    string   `json:"time"`
	Keys    []string `json:"keys"`
	Outcome string   `json:"outcome"` // written, would write, there already, left out, not applied, unknown
	Why     string   `json:"why,omitempty"`
}

// What became of a record.
const (
	replayWritten = "written"
	replayWould   = "would write"
	replayThere   = "there already"
	replayLeft    = "left out"
)

// all goes through the records. What is not known of one ends it: a later one may
// depend upon it.
func (p *replay) all(ctx context.Context, records iter.Seq2[rewound, error]) error {
	for r, err := range records {
		if err != nil {
			return err
		}
		v := replayed{LSN: uint64(r.LSN), Time: stamp(r.Time), Keys: []string{}}
		if v.Outcome, v.Why, err = p.one(ctx, &r, &v.Keys); err != nil {
			v.Outcome, v.Why = topology.OutcomeOf(err).String(), err.Error()
		}
		p.report = append(p.report, v)
		if err != nil {
			return fmt.Errorf("record %d: %s; those after it were not tried; run it again: what is there already is left as it is: %w", r.LSN, v.Outcome, err)
		}
	}
	return nil
}

// attemptsReplay is how often a record is judged anew whose keys change meanwhile.
const attemptsReplay = 5

// one writes one record, unless something speaks against it, and says what became of it.
func (p *replay) one(ctx context.Context, r *rewound, keys *[]string) (outcome, why string, err error) {
	ms, why := p.writable(r)
	for _, m := range ms {
		*keys = append(*keys, fmt.Sprintf("%s/%s", p.tables[m.Table], showBytes(m.Key).plain))
	}
	if why != "" {
		return replayLeft, why, nil
	}
	for range attemptsReplay {
		v, err := p.judge(ctx, r, ms)
		switch {
		case err != nil:
			return "", "", err
		case v.there:
			return replayThere, "", nil
		case v.why != "":
			return replayLeft, v.why, nil
		case !p.apply:
			for _, m := range ms {
				p.ours[p.at(m)] = version.Dot{}
			}
			return replayWould, "", nil
		}
		receipt, err := p.write(ctx, &v, ms)
		if errors.Is(err, topology.ErrConditionFailed) && topology.OutcomeOf(err) == topology.NotApplied {
			continue // somebody wrote meanwhile
		}
		if err != nil {
			return "", "", err
		}
		for _, m := range ms {
			p.ours[p.at(m)] = receipt.Dot
		}
		return replayWritten, "", nil
	}
	return replayLeft, "its keys were written again and again meanwhile", nil
}

func (p *replay) at(m record.Mutation) place { return place{p.tables[m.Table], string(m.Key)} }

// writable returns the last mutation of each key of a record, and why they can not be
// written. Triad's own tables are left to Triad.
func (p *replay) writable(r *rewound) (ms []record.Mutation, why string) {
	for _, m := range r.Mutations {
		_, named := p.tables[m.Table]
		switch {
		case m.Op == record.OpMark || m.Table == record.TableExpiry || m.Table == record.TableRequests:
			continue
		case m.Table == record.TableSystem:
			return nil, "it defines tables or slots"
		case !named:
			return nil, fmt.Sprintf("table %d has no name here: give it with --table %[1]d=NAME", m.Table)
		case len(m.Field) > 0 || m.Op != record.OpDelete && (m.Op != record.OpPut || m.Kind != record.KindAny && m.Kind != record.KindBytes):
			return nil, "it has parts of a row, a set, a map or a counter"
		}
		ms = slices.DeleteFunc(ms, func(o record.Mutation) bool { return o.Table == m.Table && bytes.Equal(o.Key, m.Key) })
		ms = append(ms, m)
	}
	lives := slices.ContainsFunc(ms, func(m record.Mutation) bool { return m.Op == record.OpPut && m.Expires != 0 })
	switch {
	case len(ms) == 0:
		return nil, "it has no keys: it is a mark of the log"
	case lives && len(ms) > 1:
		return ms, "it has several keys, of which some expire"
	case lives && !ms[0].Expires.Time().After(time.Now()):
		return ms, "it has expired"
	}
	return ms, ""
}

// verdict is what is to be done with a record.
type verdict struct {
	batch *client.Batch // held to what its keys held when it was judged
	when  client.Option // the same of its first key
	there bool          // all of it is there already
	why   string        // it is left out
}

// judge reads what a record's keys hold now.
func (p *replay) judge(ctx context.Context, r *rewound, ms []record.Mutation) (verdict, error) {
	v := verdict{batch: client.NewBatch(), there: true}
	for i, m := range ms {
		at := p.at(m)
		now, err := p.store.Get(ctx, at.table, m.Key)
		absent := errors.Is(err, topology.ErrNotFound)
		if err != nil && !absent {
			return v, notWritten(err)
		}
		mine, wrote := p.ours[at]
		same := absent && m.Op == record.OpDelete || !absent && m.Op == record.OpPut && bytes.Equal(now.Value, m.Value)
		v.there = v.there && same && (!wrote || !mine.IsZero()) // in a dry run, what was to be written before is not there
		newer := !absent && now.Time > r.Time && (!wrote || !mine.IsZero() && mine != now.Dot)
		if newer && !p.overwrite && v.why == "" {
			v.why = fmt.Sprintf("%s/%s holds a value of %s, which is newer", at.table, showBytes(m.Key).plain, stamp(now.Time))
		}
		if m.Op == record.OpPut {
			v.batch.Put(at.table, m.Key, m.Value)
		} else {
			v.batch.Delete(at.table, m.Key)
		}
		when := client.IfVersion(now.Dot)
		if absent {
			v.batch.IfAbsent(at.table, m.Key)
			when = client.IfAbsent()
		} else {
			v.batch.IfVersion(at.table, m.Key, now.Dot)
		}
		if i == 0 {
			v.when = when
		}
	}
	return v, nil
}

// notWritten is the error of a read, after which the record was not written.
func notWritten(err error) error {
	return &topology.Error{Op: "replay", Outcome: topology.NotApplied, Err: err}
}

// write does it under a name, so that it happens once however often it is sent.
func (p *replay) write(ctx context.Context, v *verdict, ms []record.Mutation) (client.Receipt, error) {
	p.seq = max(p.seq+1, uint64(time.Now().UnixNano()))
	name := client.Request(p.name, p.seq)
	if m := ms[0]; m.Op == record.OpPut && m.Expires != 0 { // alone: a batch has no expiry
		lives := max(time.Millisecond, time.Until(m.Expires.Time()).Truncate(time.Millisecond))
		return p.store.Put(ctx, p.at(m).table, m.Key, m.Value, name, v.when, client.TTL(lives))
	}
	return p.store.Batch(ctx, v.batch, name)
}

func stamp(t version.Timestamp) string { return t.Time().UTC().Format("2006-01-02 15:04:05.000") }

func (p *replay) result() result {
	r := result{value: p.report, table: grid.Table{Header: []string{"lsn", "time", "keys", "outcome", "why"}}}
	if p.report == nil {
		r.value = []replayed{}
	}
	count := map[string]int{}
	for _, v := range p.report {
		count[v.Outcome]++
		r.table.Rows = append(r.table.Rows, []string{fmt.Sprint(v.LSN), v.Time, short(strings.Join(v.Keys, "; ")), v.Outcome, grid.Plain(v.Why)})
	}
	var sums []string
	for _, o := range []string{replayWritten, replayWould, replayThere, replayLeft, topology.NotApplied.String(), topology.Unknown.String()} {
		if count[o] > 0 {
			sums = append(sums, fmt.Sprintf("%d %s", count[o], o))
		}
	}
	r.below = strings.Join(sums, ", ")
	if !p.apply {
		r.below += "; nothing was written: --yes writes"
	}
	return r
}
