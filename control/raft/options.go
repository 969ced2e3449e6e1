package raft

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// Options configure the backend. All but Voters may be left out.
type Options struct {
	// Voters are the 1, 3 or 5 nodes that keep the documents and elect who leads
	// them. Every node of the cluster names the same, in any order; the others are
	// their clients.
	Voters []topology.NodeID
	// Leader leads the first term of the data; see [topology.Seeder]. Default: the
	// first of Voters.
	Leader topology.NodeID
	// Heartbeat is how long voters do without a word of their leader before they
	// look for another one; default 300 ms, at least 20 ms. It has to exceed what
	// their disks need for a sync in bad moments, as heartbeats wait behind it.
	Heartbeat time.Duration

	snapshotEvery uint64        // entries between two snapshots; a test's
	commitEvery   time.Duration // raft's commit time-out; a test's
}

// HeartbeatFast is a heartbeat for a local network and disks that sync within a
// few milliseconds.
const HeartbeatFast = 50 * time.Millisecond

// Limits of the backend.
const (
	BodyBytesMax  = 256 << 10 // of one document
	StateBytesMax = 768 << 10 // of all documents, so that a snapshot fits a Stable
	NamesMax      = 256       // documents
	ClaimsMax     = 256       // names that are registered
	ProposalsMax  = 16        // changes that one process asks for at once; more wait for their turn
	HopsMax       = 3         // from one voter to the one it names, before a pause

	nameBytesMax  = 63
	sessionsMax   = 128 // processes whose last changes are remembered
	resultsMax    = 2 * ProposalsMax
	entriesMax    = 8 // of one message
	entryBytesMax = BodyBytesMax + 4<<10
	answeredMax   = 64 // changes that a leader has in hand at once

	heartbeatDefault = 300 * time.Millisecond
	heartbeatMin     = 20 * time.Millisecond
	heartbeatMax     = time.Minute
	snapshotDefault  = 1024
)

// timing is everything that is waited for, in proportion to the heartbeat.
type timing struct {
	beat    time.Duration // of raft's own: heartbeat and election
	lease   time.Duration // a leader steps down after so long without a majority
	commit  time.Duration // until followers hear that an entry is committed
	message time.Duration // for the answer to one of raft's messages
	install time.Duration // the same, of a snapshot
	attempt time.Duration // for one attempt of a call
	pause   time.Duration // between two
	claim   time.Duration // a registration lasts so long without being renewed
	renew   time.Duration // between two renewals
	stall   time.Duration // a leader whose disk takes longer than this hands over
	steer   time.Duration // between two attempts to hand over
	watch   time.Duration // a question for news is open at most so long
}

func timingOf(beat time.Duration) timing {
	return timing{
		beat:    beat,
		lease:   max(beat/2, 5*time.Millisecond),
		commit:  min(max(beat/10, time.Millisecond), 50*time.Millisecond),
		message: 2 * beat,
		install: 30 * beat,
		attempt: 10 * beat,
		pause:   max(beat/10, 5*time.Millisecond),
		claim:   max(20*beat, 2*time.Second),
		renew:   2 * beat,
		stall:   max(10*beat, 2*time.Second),
		steer:   10 * beat,
		watch:   10 * beat,
	}
}

func (o Options) withDefaults() (Options, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = heartbeatDefault
	}
	o.snapshotEvery = cmp.Or(o.snapshotEvery, snapshotDefault)
	if o.Heartbeat < heartbeatMin || o.Heartbeat > heartbeatMax {
		return o, fmt.Errorf("control: heartbeat %v is not within %v and %v", o.Heartbeat, heartbeatMin, heartbeatMax)
	}
	switch len(o.Voters) {
	case 0:
		return o, errors.New("control: no voters: name 1, 3 or 5 nodes, the same on every node")
	case 1, 3, 5:
	default:
		return o, fmt.Errorf("control: %d voters: 1, 3 or 5, as one more adds a vote to be waited for and bears no more failures", len(o.Voters))
	}
	if o.Leader == "" {
		o.Leader = o.Voters[0]
	}
	o.Voters = slices.Sorted(slices.Values(o.Voters))
	for i, v := range o.Voters {
		switch {
		case !v.Valid():
			return o, fmt.Errorf("control: voter %q is not a node's name", v)
		case i > 0 && v == o.Voters[i-1]:
			return o, fmt.Errorf("control: voter %q is named twice", v)
		}
	}
	if !o.Leader.Valid() {
		return o, fmt.Errorf("control: leader %q is not a node's name", o.Leader)
	}
	return o, nil
}

// config is raft's own.
func (o Options) config(id raft.ServerID, logger *logWriter) *raft.Config {
	t := timingOf(o.Heartbeat)
	c := raft.DefaultConfig()
	c.LocalID = id
	c.HeartbeatTimeout, c.ElectionTimeout = t.beat, t.beat
	c.LeaderLeaseTimeout, c.CommitTimeout = t.lease, cmp.Or(o.commitEvery, t.commit)
	c.MaxAppendEntries = entriesMax
	c.SnapshotThreshold = o.snapshotEvery
	c.TrailingLogs = 2 * o.snapshotEvery
	if o.snapshotEvery < snapshotDefault {
		c.SnapshotInterval = 10 * t.beat
	}
	c.NoLegacyTelemetry = true
	c.LogLevel, c.LogOutput = "INFO", logger
	return c
}
