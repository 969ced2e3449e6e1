package singleleader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A snapshot replaces the store and then the log. What the log is to become is
// made durable before the store is switched, so that a crash in between is
// finished at the next start.
const stableInstall = "install"

// Install implements stream.Sink.
func (k *sink) Install(ctx context.Context, o stream.Offer, st topology.Stage) (stream.Tail, error) {
	e := k.s.e
	if err := k.s.gate.enter(ctx); err != nil {
		return stream.Tail{}, err
	}
	defer k.s.gate.leave()
	if o.LSN < e.applier.applied() && !e.resync.Load() && e.o.Sync.Kind != quorum.KindAsync {
		return stream.Tail{}, fmt.Errorf("%w: a snapshot at entry %d would take back what is applied here up to %d", topology.ErrConflict, o.LSN, e.applier.applied())
	}
	why := fmt.Sprintf("a snapshot of term %d at entry %d replaced the log", o.Term, o.LSN)
	from := e.applier.applied()
	if k.parts != 0 {
		from = min(from, k.parts)
	}
	if err := e.export(ctx, max(from, e.env.Log.Bounds().First-1), why); err != nil {
		return stream.Tail{}, err
	}
	if err := e.env.Stable.Save(stableInstall, encodeInstall(o.LSN, o.History)); err != nil {
		return stream.Tail{}, err
	}
	if err := st.Install(o.LSN); err != nil {
		return stream.Tail{}, err
	}
	if err := e.env.Log.Truncate(topology.Range{First: o.LSN + 1, Last: o.LSN, History: o.History}); err != nil {
		e.fail(err)
		return stream.Tail{}, err
	}
	e.resync.Store(false)
	e.applier.reset(o.LSN)
	a := k.ask(event{kind: evTruncated, lsn: o.LSN, term: o.History.Last(), n: 1})
	e.log.Info("installed a snapshot", "lsn", o.LSN, "term", o.Term)
	return a.tail, a.err
}

// finishInstall makes the log follow a store that a snapshot has replaced.
func (e *engine) finishInstall(applied record.LSN) error {
	b, err := e.env.Stable.Load(stableInstall)
	if err != nil || b == nil {
		return err
	}
	lsn, h, err := decodeInstall(b)
	if err != nil {
		return err
	}
	bounds := e.env.Log.Bounds()
	if applied != lsn || bounds.First == lsn+1 || bounds.End >= lsn && bounds.First <= lsn && e.sameHistory(lsn, h) {
		return nil
	}
	return e.env.Log.Truncate(topology.Range{First: lsn + 1, Last: lsn, History: h})
}

// sameHistory reports whether the log has at lsn what h has there.
func (e *engine) sameHistory(lsn record.LSN, h topology.History) bool {
	term, ok := e.env.Log.History().TermAt(lsn)
	return ok && term == h.Last()
}

func encodeInstall(lsn record.LSN, h topology.History) []byte {
	w := pack.NewWriter(nil)
	w.Array(1 + 2*len(h))
	w.Uint(uint64(lsn))
	for _, t := range h {
		w.Uint(t.Term)
		w.Uint(uint64(t.Start))
	}
	return w.Bytes()
}

func decodeInstall(b []byte) (record.LSN, topology.History, error) {
	r := pack.NewReader(b)
	n := r.Array()
	lsn := record.LSN(r.Uint())
	var h topology.History
	for i := 1; i+1 < n && r.Err() == nil; i += 2 {
		h = append(h, topology.TermStart{Term: r.Uint(), Start: record.LSN(r.Uint())})
	}
	if err := r.Done(); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", stableInstall, err)
	}
	return lsn, h, nil
}
