package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Options configure a single-leader group. The zero value works: asynchronous
// replication, answered once durable at the leader. They must be the same on
// every node but for Replica.
type Options struct {
	// Sync says whom a commit waits for; the zero value is quorum.Async().
	Sync quorum.Policy
	// Durability says when a write's caller is answered; default Flushed.
	Durability topology.Durability
	// Replica is what this node does of its own as a copy of the leader.
	Replica
	// ReadReplicas are members that copy the log for readers alone: no commit
	// counts them, and none is made leader without force. One that was counted
	// before it was named here, or was made leader by force, stays a voter.
	ReadReplicas []topology.NodeID
	// Witnesses are members that keep no data: they vote in the control's elections
	// and have no other part, so that two members with data and a witness outlive the
	// loss of any one. They need a control that elects.
	Witnesses []topology.NodeID
	// ValueBytesMax bounds one value; default record.ValueBytesMax, and not more.
	ValueBytesMax int
	// PendingBytesMax bounds the bytes of writes accepted and not answered
	// yet; beyond it callers wait, and a caller whose context ends meanwhile
	// gets ErrOverloaded. Default 32 MiB.
	PendingBytesMax int64
	// RetainBytesMax bounds the log kept for a member that is away; one that
	// is further behind catches up by snapshot. Default 1 GiB.
	RetainBytesMax uint64
	// Rewinds bound what a new leader may take out of this node's log.
	Rewinds
	// Stream bounds the replication streams.
	Stream stream.Limits
	// CallTimeout bounds one question to another node: a poll, a forwarded
	// read. Default 3 s.
	CallTimeout time.Duration
	// FailAfter is how long a leader may be silent before another member in sync
	// stands for election, where nodes agree through their control. Default 500 ms,
	// at least 20 ms; the leader is heard of five times as often.
	FailAfter time.Duration
	// DropAfter is how long the leader waits for a silent member before it lets it
	// go from the in-sync set, where another may take its place or enough are left.
	// Default FailAfter.
	DropAfter time.Duration
	// HangAfter is how long a leader's disk may take for one sync before the leader asks
	// a member in sync to lead in its place. Default four times FailAfter.
	HangAfter time.Duration
	// MinReign is how long a leader leads at least before another is elected in its place,
	// though it is silent or gone: where machines fail by turns, each change may cost more
	// than the wait for the one that is to come back. What people order, and a leader that
	// hands over by itself, are not held up. Default 0, none; at most 24 h.
	MinReign time.Duration
	// MinInSync is the least number of members in sync, the leader included, with which
	// a group under First commits, where nodes agree through their control. Default all
	// that the policy names and the leader: then writes wait while too few are there.
	// With fewer they go on: no election loses anything acknowledged even so, but of as
	// many directories as are in sync the last one may be the only one.
	MinInSync int
	// Leases let leaders answer by themselves for a while, where nodes agree.
	Leases
	// FailFast refuses a write at once while fewer members are in sync than a
	// commit needs; else it waits for them while its context lasts.
	FailFast bool
	// Hooks are called as this node begins and ceases to lead; they may differ between nodes.
	Hooks
	// RetryEvery is the pause between attempts to reach a node that is down,
	// or to start a term. Default 200 ms.
	RetryEvery time.Duration
}

// Hooks are what a program does as its node begins and ceases to lead.
type Hooks struct {
	// OnRole is told when this node has begun to lead and when it leads no more, that it
	// ends included: one call at a time, on a goroutine of its own, and nothing waits for
	// it but the end of Run, for two seconds at most if it heeds ctx. What came and went
	// during a call is skipped. Nil: nobody is told.
	OnRole func(ctx context.Context, c topology.RoleChange)
	// Fence is called before this node becomes leader in the place of another that does
	// not answer, and must return nil once that one can do nothing more. On an error this
	// node does not become leader; it is tried again, force or not. Nil: the term alone
	// fences, which keeps an old leader from committing anything.
	Fence func(ctx context.Context, f topology.Fencing) error
}

// Replica is what a node does of its own as a copy of the leader; it may differ between
// nodes.
type Replica struct {
	// ApplyDelay holds committed entries back from this node's store for a
	// while, counted from their acceptance by the leader's clock.
	ApplyDelay time.Duration
	// Upstreams are members that this node, a read replica, takes the log from instead
	// of from the leader: from the first that feeds it, and from the leader where none
	// does (S13). At most UpstreamsMax.
	Upstreams []topology.NodeID
}

// UpstreamsMax is how many upstreams a node may name.
const UpstreamsMax = 16

// Rewinds bound what is cut from a log.
type Rewinds struct {
	// RewindRecordsMax and RewindBytesMax bound what is cut from this node's log
	// without an operator, when a new leader does not have it: beyond either the
	// node does not follow until it is approved. Defaults 10 million and 1 GiB.
	RewindRecordsMax uint64
	RewindBytesMax   uint64
}

// Leases say how long a leader may answer by itself, and what an election may lose.
type Leases struct {
	// Lease is how long a leader may answer reads by itself, from when it asked what
	// everybody a commit needs has answered since. A new leader acknowledges nothing
	// before the lease of the one before is over. At most FailAfter; 0 is none, but half
	// of FailAfter where LeaseReads asks for one. It needs a control that elects.
	Lease time.Duration
	// LeaseReads has reads that ask for nothing served by the lease; else only those that
	// ask for it are (topology.ReadLeased).
	LeaseReads bool
	// ClockDrift is how far the monotonic clocks of two members may run apart in each
	// second. Where they run apart further, a read by a lease may miss what was
	// acknowledged before it. Default 10 ms, at most one second.
	ClockDrift time.Duration
	// MaxLagOnFailover is how many records, of an asynchronous group, an election may lose
	// that were acknowledged. 0: nobody is elected, and an operator forces a leader. Its
	// leader holds back what would be further ahead of who may be elected, and
	// acknowledges only while it has a lease: half of FailAfter where nothing is said.
	MaxLagOnFailover uint64
}

// failAfterMin is the shortest silence that may cost a leader its term.
const failAfterMin = 20 * time.Millisecond

// heardWithin is how long ago the leader may have been heard of for a distance to it,
// in records or bytes, to mean something.
func (o Options) heardWithin() time.Duration {
	return max(o.FailAfter, 2*cmp.Or(o.Stream.HeartbeatEvery, stream.HeartbeatDefault))
}

// minReignMax is the longest reign for which elections can be held up: a group that is
// to be left alone for longer is paused.
const minReignMax = 24 * time.Hour

// beatsPerFail is how often a leader is heard of within FailAfter.
const beatsPerFail = 5

// hangsPerFail is HangAfter in FailAfters, where nothing is said.
const hangsPerFail = 4

func (o Options) withDefaults() (Options, error) {
	errs := o.badMembers()
	if o.ApplyDelay < 0 {
		errs = append(errs, fmt.Errorf("apply delay %v is negative", o.ApplyDelay))
	}
	if o.ValueBytesMax < 0 || o.ValueBytesMax > record.ValueBytesMax {
		errs = append(errs, fmt.Errorf("values of up to %d bytes: at most %d", o.ValueBytesMax, record.ValueBytesMax))
	}
	if o.Durability > topology.Applied {
		errs = append(errs, fmt.Errorf("durability %v", o.Durability))
	}
	if o.Durability == topology.DurabilityDefault {
		o.Durability = topology.Flushed
	}
	if o.ValueBytesMax == 0 {
		o.ValueBytesMax = record.ValueBytesMax
	}
	if o.PendingBytesMax <= 0 {
		o.PendingBytesMax = 32 << 20
	}
	if o.RetainBytesMax == 0 {
		o.RetainBytesMax = 1 << 30
	}
	if o.RewindRecordsMax == 0 {
		o.RewindRecordsMax = 10_000_000
	}
	if o.RewindBytesMax == 0 {
		o.RewindBytesMax = 1 << 30
	}
	if o.CallTimeout <= 0 {
		o.CallTimeout = 3 * time.Second
	}
	if o.FailAfter == 0 {
		o.FailAfter = 500 * time.Millisecond
	}
	if o.FailAfter < failAfterMin {
		errs = append(errs, fmt.Errorf("fail after %v: at least %v", o.FailAfter, failAfterMin))
	}
	if o.DropAfter <= 0 {
		o.DropAfter = o.FailAfter
	}
	if o.HangAfter <= 0 {
		o.HangAfter = hangsPerFail * o.FailAfter
	}
	if o.MinReign < 0 || o.MinReign > minReignMax {
		errs = append(errs, fmt.Errorf("least reign %v: from 0 to %v", o.MinReign, minReignMax))
	}
	if o.RetryEvery <= 0 {
		o.RetryEvery = 200 * time.Millisecond
	}
	errs = append(errs, o.badUpstreams()...)
	errs = append(errs, o.Leases.complete(o.FailAfter, o.Sync.Kind)...)
	return o, errors.Join(errs...)
}

// badMembers says what is wrong with whom the options name, and how many they count.
func (o Options) badMembers() []error {
	var errs []error
	if err := o.Sync.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("sync: %w", err))
	}
	for _, id := range o.ReadReplicas {
		if !id.Valid() {
			errs = append(errs, fmt.Errorf("read replicas: %q is not a node's name", id))
		}
		if slices.Contains(o.Sync.Of, string(id)) {
			errs = append(errs, fmt.Errorf("sync: %v counts %s, which is a read replica", o.Sync, id))
		}
	}
	for _, id := range o.Witnesses {
		switch {
		case !id.Valid():
			errs = append(errs, fmt.Errorf("witnesses: %q is not a node's name", id))
		case slices.Contains(o.Sync.Of, string(id)):
			errs = append(errs, fmt.Errorf("sync: %v counts %s, which is a witness and keeps nothing", o.Sync, id))
		case slices.Contains(o.ReadReplicas, id):
			errs = append(errs, fmt.Errorf("%s is named a read replica and a witness: a witness keeps nothing to read", id))
		}
	}
	switch most := o.Sync.K + 1; {
	case o.MinInSync == 0:
	case o.Sync.Kind != quorum.KindFirst:
		errs = append(errs, fmt.Errorf("min in sync %d: only first k goes on with fewer than it names, not %v", o.MinInSync, o.Sync))
	case o.MinInSync < 0 || o.MinInSync > most:
		errs = append(errs, fmt.Errorf("min in sync %d: from 1, the leader alone, to %d under %v", o.MinInSync, most, o.Sync))
	}
	return errs
}

// badUpstreams says what is wrong with whom this node is to be fed by.
func (o Options) badUpstreams() (errs []error) {
	if len(o.Upstreams) > UpstreamsMax {
		errs = append(errs, fmt.Errorf("%d upstreams: at most %d", len(o.Upstreams), UpstreamsMax))
	}
	for i, id := range o.Upstreams {
		switch {
		case !id.Valid():
			errs = append(errs, fmt.Errorf("upstreams: %q is not a node's name", id))
		case slices.Contains(o.Witnesses, id):
			errs = append(errs, fmt.Errorf("upstreams: %s is a witness, which keeps nothing to feed others with", id))
		case slices.Contains(o.Upstreams[:i], id):
			errs = append(errs, fmt.Errorf("upstreams: %s is named twice", id))
		}
	}
	return errs
}

// feedable returns why a node may not have the upstreams that its options name.
func (o Options) feedable(self topology.NodeID) error {
	switch {
	case len(o.Upstreams) == 0:
		return nil
	case slices.Contains(o.Upstreams, self):
		return fmt.Errorf("upstreams: %s is this node", self)
	case !slices.Contains(o.ReadReplicas, self):
		return fmt.Errorf("upstreams: %s is not among the read replicas, and whoever may be counted is fed by the leader alone", self)
	}
	return nil
}

// complete fills in what is not said, and says what is wrong with the rest.
func (l *Leases) complete(failAfter time.Duration, policy quorum.Kind) (errs []error) {
	if l.ClockDrift == 0 {
		l.ClockDrift = 10 * time.Millisecond
	}
	if l.Lease == 0 && (l.LeaseReads || l.MaxLagOnFailover > 0) {
		l.Lease = failAfter / 2
	}
	if most := min(failAfter, core.LeaseMax); l.Lease < 0 || l.Lease > most {
		errs = append(errs, fmt.Errorf("lease %v: at most %v, after which a silent leader is given up", l.Lease, most))
	}
	if l.ClockDrift < 0 || l.ClockDrift > time.Second {
		errs = append(errs, fmt.Errorf("clock drift %v a second: from 0 to 1s", l.ClockDrift))
	}
	switch {
	case l.MaxLagOnFailover > 0 && policy != quorum.KindAsync:
		errs = append(errs, fmt.Errorf("max lag on failover %d: under %v an election loses nothing", l.MaxLagOnFailover, policy))
	case l.MaxLagOnFailover > core.LagMax:
		errs = append(errs, fmt.Errorf("max lag on failover %d: at most %d", l.MaxLagOnFailover, uint64(core.LagMax)))
	}
	return errs
}
