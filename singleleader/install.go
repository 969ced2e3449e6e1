package singleleader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader/core"
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
	applied := e.applier.applied()
	if k.parts == 0 {
		k.parts = core.Parts(e.env.Log.History(), e.env.Log.Bounds().End, o.History, o.LSN)
	}
	back := e.o.Sync.Kind == quorum.KindAsync || core.TakesBack(e.group.Load(), e.env.Log.History().Last(), k.parts)
	if err := core.Installable(o.LSN, applied, e.resync.Load(), back); err != nil {
		return stream.Tail{}, err
	}
	if k.parts > 0 { // what is not the leader's, and not only behind it
		if err := e.rewinds(k.parts); err != nil {
			return stream.Tail{}, err
		}
	}
	why := fmt.Sprintf("a snapshot of term %d at entry %d replaced the log", o.Term, o.LSN)
	if err := e.export(ctx, core.Leaves(e.env.Log.Bounds().First, applied, k.parts), why); err != nil {
		return stream.Tail{}, err
	}
	i := core.Install{ID: o.ID, LSN: o.LSN, History: o.History}
	if err := e.env.Stable.Save(stableInstall, i.Encode()); err != nil {
		return stream.Tail{}, err
	}
	e.applier.replacing()
	defer e.applier.replaced()
	e.applier.showing(o.LSN)
	if err := st.Install(o.LSN); err != nil {
		return stream.Tail{}, err
	}
	if err := e.env.Log.Truncate(i.Range()); err != nil {
		e.fail(err)
		return stream.Tail{}, err
	}
	k.s.aside = tail{}
	if err := e.applier.restart(); err != nil {
		e.fail(err)
		return stream.Tail{}, err
	}
	e.resync.Store(false)
	e.applier.reset(o.LSN)
	a := k.ask(core.Event{Kind: core.EvTruncated, LSN: o.LSN, Term: o.History.Last(), N: 1})
	e.log.Info("installed a snapshot", "lsn", o.LSN, "term", o.Term)
	return a.tail, a.err
}

// finishInstall makes the log follow a store that a snapshot has replaced.
func (e *engine) finishInstall(shows topology.Snapshot) error {
	b, err := e.env.Stable.Load(stableInstall)
	if err != nil || b == nil {
		return err
	}
	i, err := core.DecodeInstall(b)
	if err != nil {
		return err
	}
	installed, err := shows.Installed()
	if err != nil || !i.Unfinished(installed, e.positions(shows.Applied())) {
		return err
	}
	return e.env.Log.Truncate(i.Range())
}
