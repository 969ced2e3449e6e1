package leaderless

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Options configure a leaderless engine. Replicas, Partitions and the members must be
// the same on every node, and stay as they are.
type Options struct {
	Replicas   int // N: copies of every key; default 3, or as many as there are members
	Partitions int // default 32
	// Write and Read are for how many replicas a request waits that does not say so
	// itself; the zero value is a majority.
	Write, Read quorum.Consistency
	Repair      core.Repair // what a read does for replicas that are behind; default RepairNone
	// MaxSkew is how far ahead of this node's clock a record's time may be before it is
	// refused, until the clock has come so far (C3). Default 500 ms.
	MaxSkew time.Duration
	// TickEvery is the pause between two exchanges of what is applied. Default 200 ms.
	TickEvery time.Duration
	// CallTimeout bounds how long a coordinator waits for replicas. Default 3 s.
	CallTimeout time.Duration
	// HedgeAfter is how long a read waits before the replicas that were not asked are
	// asked, too. Default 50 ms; negative: never.
	HedgeAfter      time.Duration
	ValueBytesMax   int    // default record.ValueBytesMax
	PendingBytesMax int64  // of writes that are not answered yet; more wait. Default 32 MiB
	RetainBytesMax  uint64 // of the log kept for replicas that are away. Default 1 GiB
	// MovesMax is how many partitions move at a time. Default 4.
	MovesMax int
	// MoveBytesPerSec is how much this node takes a second of the partitions that it is
	// to hold, so that requests do not suffer. Default 0: as fast as can be.
	MoveBytesPerSec uint64
	Limits          core.Limits
	AntiEntropy     AntiEntropy
}

const (
	replicasDefault    = 3
	partitionsDefault  = 32
	tickDefault        = 200 * time.Millisecond
	tickMin            = time.Millisecond
	callTimeoutDefault = 3 * time.Second
	hedgeDefault       = 50 * time.Millisecond
	pendingDefault     = 32 << 20
	retainDefault      = 1 << 30
	movesDefault       = 4
)

// withDefaults returns o as it is meant where so many members are.
func (o Options) withDefaults(members int) (Options, error) {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Replicas == 0 {
		o.Replicas = min(replicasDefault, members)
	}
	if o.Replicas < 1 || o.Replicas > members {
		wrong("replicas: %d copies on %d members", o.Replicas, members)
	}
	if o.Partitions == 0 {
		o.Partitions = partitionsDefault
	}
	if o.Partitions < 1 || o.Partitions > PartitionsMax {
		wrong("partitions: %d, from 1 to %d", o.Partitions, PartitionsMax)
	}
	for _, l := range []quorum.Consistency{o.Write, o.Read} {
		if !l.Valid() {
			wrong("consistency: there is no %v", l)
		}
	}
	if o.Repair > core.RepairWriteBack {
		wrong("repair: %d is none of none, async, blocking and write-back", o.Repair)
	}
	for _, d := range []struct {
		name string
		d    *time.Duration
		def  time.Duration
	}{{"max skew", &o.MaxSkew, 0}, {"tick every", &o.TickEvery, tickDefault}, {"call timeout", &o.CallTimeout, callTimeoutDefault}} {
		if *d.d == 0 {
			*d.d = d.def
		}
		if *d.d < 0 {
			wrong("%s: %v is negative", d.name, *d.d)
		}
	}
	if o.TickEvery < tickMin {
		wrong("tick every: %v is less than %v", o.TickEvery, tickMin)
	}
	if o.HedgeAfter == 0 {
		o.HedgeAfter = hedgeDefault
	}
	if o.PendingBytesMax <= 0 {
		o.PendingBytesMax = pendingDefault
	}
	if o.RetainBytesMax == 0 {
		o.RetainBytesMax = retainDefault
	}
	if o.MovesMax <= 0 {
		o.MovesMax = movesDefault
	}
	o.AntiEntropy = o.AntiEntropy.withDefaults()
	return o, errors.Join(errs...)
}

// PartitionsMax bounds Options.Partitions: a node tells others of every one it holds.
const PartitionsMax = 1 << 12

// originFirst is the first number of the origins of a map.
const originFirst = 1

// place makes the map of a list of members.
func (o *Options) place(v topology.View) (*placement.Map, error) {
	ms := slices.Clone(v.Members)
	slices.SortFunc(ms, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) })
	if len(ms) > quorum.MembersMax {
		return nil, fmt.Errorf("%d members are more than %d", len(ms), quorum.MembersMax)
	}
	sited := !slices.ContainsFunc(ms, func(m topology.Member) bool { return m.Site == "" })
	l := placement.Layout{Copies: o.Replicas}
	for i, m := range ms {
		n := placement.Node{ID: m.ID, Weight: 1, Numbers: originFirst + uint32(i*(o.Partitions+1))} //nolint:gosec // both are small
		if sited {
			n.Site = m.Site // copies are spread over sites
		}
		l.Nodes = append(l.Nodes, n)
	}
	m, err := placement.Found(1, l, o.Partitions)
	if err != nil {
		return nil, err
	}
	return placement.Share(m), nil
}
