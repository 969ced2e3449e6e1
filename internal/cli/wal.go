package cli

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
)

func newWAL() *cobra.Command {
	return parent("wal", "Look into a log that nobody has open", newVerify(), newDump())
}

const dirHelp = "DIR is a node's data directory, or the folder of its log. Nothing is changed."

// segment is one file of a log as `triad wal verify` shows it.
type segment struct {
	File    string `json:"file"`
	First   uint64 `json:"first_lsn"`
	Last    uint64 `json:"last_lsn"`
	Records uint64 `json:"records"`
	Used    int64  `json:"bytes_used"`
	Size    int64  `json:"bytes"`
	Closed  bool   `json:"closed"`
}

// verified is the answer of `triad wal verify`.
type verified struct {
	Dir      string    `json:"dir"`
	Cluster  string    `json:"cluster_id"`
	Node     string    `json:"node"`
	First    uint64    `json:"first_lsn"`
	Last     uint64    `json:"last_lsn"`
	Terms    []term    `json:"terms"`
	Torn     int64     `json:"torn_bytes"` // of a write that a crash cut short; dropped at the next start
	Segments []segment `json:"segments"`
	Damage   string    `json:"damage,omitempty"`
}

type term struct {
	Term  uint64 `json:"term"`
	Start uint64 `json:"start_lsn"`
}

func newVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check every sum of a log",
		Long:  "Check every sum of a log. " + dirHelp + "\n\nExit code 4 if it is damaged: the error names file, offset and remedy.",
		Args:  exactly("DIR"),
	}
	form := outputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		folder, release, err := logOf(args[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		v := verified{Dir: folder, Terms: []term{}, Segments: []segment{}}
		report, fault := wal.Verify(vfs.Default, folder, func(s wal.SegmentReport) {
			v.Segments = append(v.Segments, segment{
				File: s.File, First: uint64(s.First), Last: uint64(s.Last), Records: s.Records, Used: s.Bytes, Size: s.Size, Closed: s.Closed,
			})
		})
		if fault != nil {
			v.Damage = fault.Error()
		} else {
			v.take(report)
		}
		r := v.result()
		if err := r.write(cmd.OutOrStdout(), form.value); err != nil {
			return err
		}
		if fault != nil {
			return fmt.Errorf("%w: %w", errDamaged, fault)
		}
		return nil
	}
	return c
}

func (v *verified) take(r wal.Report) {
	v.Cluster, v.Node, v.First, v.Last, v.Torn = fmt.Sprintf("%x", r.Cluster), string(r.Node), uint64(r.First), uint64(r.Last), r.Torn
	for _, t := range r.History {
		v.Terms = append(v.Terms, term{Term: t.Term, Start: uint64(t.Start)})
	}
}

func (v *verified) result() result {
	r := result{value: v, table: grid.Table{Header: []string{"segment", "first lsn", "last lsn", "records", "used", "of", "state"}}}
	for _, s := range v.Segments {
		state := "open"
		if s.Closed {
			state = "closed"
		}
		r.table.Rows = append(r.table.Rows, []string{
			s.File, fmt.Sprint(s.First), fmt.Sprint(s.Last), fmt.Sprint(s.Records), grid.Bytes(uint64(s.Used)), grid.Bytes(uint64(s.Size)), state,
		})
	}
	switch {
	case v.Damage != "":
		r.below = fmt.Sprintf("damaged: what stands above is whole, and the log of %s is not", grid.Plain(v.Dir))
	case v.Last < v.First:
		r.below = fmt.Sprintf("ok: the log of node %s is whole, and empty", grid.Plain(v.Node))
	default:
		r.below = fmt.Sprintf("ok: the log of node %s is whole: LSN %d to %d, %d terms", grid.Plain(v.Node), v.First, v.Last, len(v.Terms))
	}
	if v.Torn > 0 {
		r.below += fmt.Sprintf("; %d bytes of a write that a crash cut short are dropped at the next start", v.Torn)
	}
	return r
}

// entry is one record as `triad wal dump` shows it.
type entry struct {
	LSN         uint64     `json:"lsn"`
	Term        uint64     `json:"term"`
	Transaction string     `json:"transaction"`
	Time        time.Time  `json:"time"`
	Mutations   []mutation `json:"mutations"`
}

type mutation struct {
	Op    string `json:"op"`
	Table uint32 `json:"table"`
	Key   shown  `json:"key"`
	Field *shown `json:"field,omitempty"`
	Value *shown `json:"value,omitempty"`
}

func newDump() *cobra.Command {
	c := &cobra.Command{
		Use:   "dump DIR",
		Short: "Print the records of a log",
		Long:  "Print the records of a log, with tables by their numbers. " + dirHelp + "\n\nExit code 4 if it is damaged: what stands before the damage is printed.",
		Args:  exactly("DIR"),
	}
	form := outputFlag(c)
	from := c.Flags().Uint64("from", 1, "the first LSN")
	to := c.Flags().Uint64("to", math.MaxUint64, "the last LSN")
	limit := c.Flags().Int("limit", scanLimitDefault, "at most so many records")
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if *limit < 1 {
			return usagef("--limit: %d is no number of records", *limit)
		}
		if *to < *from {
			return usagef("--to: %d is less than --from, %d", *to, *from)
		}
		folder, release, err := logOf(args[0])
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
		r, fault := dump(folder, record.LSN(*from), record.LSN(*to), *limit)
		if err := r.write(cmd.OutOrStdout(), form.value); err != nil {
			return err
		}
		return fault
	}
	return c
}

func dump(folder string, from, to record.LSN, limit int) (result, error) {
	entries := []entry{}
	r := result{table: grid.Table{Header: []string{"lsn", "term", "transaction", "time", "mutations"}}}
	var fault error
	for e, err := range wal.Dump(vfs.Default, folder, from, to) {
		var rec record.Record
		if err == nil {
			rec, err = e.Record()
		}
		if err != nil {
			fault = fmt.Errorf("%w: %w", errDamaged, err)
			break
		}
		if len(entries) == limit {
			r.below = fmt.Sprintf("… and more: the first %d; --limit and --from show others", limit)
			break
		}
		v := entryOf(e, &rec)
		entries = append(entries, v)
		r.table.Rows = append(r.table.Rows, []string{
			fmt.Sprint(v.LSN), fmt.Sprint(v.Term), v.Transaction, v.Time.Format("2006-01-02 15:04:05.000"), short(summary(v.Mutations)),
		})
	}
	r.value = entries
	return r, fault
}

func entryOf(e record.Entry, r *record.Record) entry {
	v := entry{LSN: uint64(e.LSN), Term: e.Term, Transaction: r.Dot.String(), Time: r.Time.Time().UTC()}
	for i := range r.Mutations {
		m := &r.Mutations[i]
		s := mutation{Op: opName(m.Op), Table: uint32(m.Table), Key: showBytes(m.Key)}
		if len(m.Field) > 0 {
			f := showBytes(m.Field)
			s.Field = &f
		}
		if m.Op != record.OpDelete {
			b := showBytes(m.Value)
			s.Value = &b
		}
		v.Mutations = append(v.Mutations, s)
	}
	return v
}

func opName(op record.Op) string {
	switch op {
	case record.OpPut:
		return "put"
	case record.OpDelete:
		return "delete"
	case record.OpMerge:
		return "merge"
	case record.OpMark:
		return "mark"
	case record.OpState:
		return "state"
	}
	return fmt.Sprintf("op %d", op)
}

// summary is the mutations of a record in one cell.
func summary(ms []mutation) string {
	s := ""
	for i, m := range ms {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("%s %d/%s", m.Op, m.Table, m.Key.plain)
		if m.Field != nil {
			s += "." + m.Field.plain
		}
		if len(s) > 4*cellRunesMax {
			break // no more of it is shown
		}
	}
	return s
}
