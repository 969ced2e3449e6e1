package gossip

import "time"

// Limits of what others can make this node hold, wait for or write.
const (
	SeedsMax     = 64 // seeds of a configuration
	KeysMax      = 8  // keys of a configuration, the old ones included
	StrangersMax = 64 // nodes let in that the configuration does not name
	membersMax   = 1024

	addrBytesMax      = 253 + 1 + 5 // host:port of a tag or a seed
	seedAddrsMax      = 8           // addresses tried of one seed's name
	streamsMax        = 32          // connections open to the gossip port
	streamBytesMax    = 2 << 20     // heard over one connection: the state of a full cluster is half of it
	packetBytesMax    = 65536       // of one datagram
	handoffMax        = 1024        // messages that wait for memberlist to handle them
	queueMax          = 1024        // broadcasts of one kind that wait to be passed on
	eventBytesMax     = 512         // of a user event or query; this node sends none
	eventSlotsMax     = 16          // of those of others that are remembered, to know them again
	eventsMax         = 2048        // that wait to be drained; twice what serf may still hold when it ends, and sends to nobody
	conflictsMax      = 32          // conflicts that are shown
	lineBytesMax      = 1024        // of one line of serf or memberlist
	linesPerSecondMax = 20          // of both together; what is above is counted
	bindTries         = 16          // for one port that is free for both TCP and UDP
)

const (
	probeEveryDefault = time.Second
	probeEveryMin     = 10 * time.Millisecond

	resolveTimeout = 3 * time.Second  // for a seed's name
	broadcastMin   = time.Second      // for a goodbye to be passed on
	streamTimeout  = 3 * time.Second  // for one exchange over a connection
	conflictShown  = 10 * time.Minute // after it was last heard of
	conflictGrace  = 30               // probe intervals, in which an own earlier start may still be heard of

	reconnectFor  = 365 * 24 * time.Hour   // a member of the configuration is sought
	strangerFor   = 10 * time.Minute       // a stranger that has failed or left is remembered
	intentFor     = time.Minute            // a join or leave of somebody unheard of is remembered
	seedWarnEvery = 8                      // rounds without any other member, between two warnings
	lookEvery     = 10 * time.Second       // at whom serf knows, without being told of a change
	socketPause   = 100 * time.Millisecond // after a socket failed for a moment
)

// pace is all that follows from how often a member is probed.
type pace struct {
	probe, probeTimeout  time.Duration
	gossip, pushPull     time.Duration
	reconnect, reap      time.Duration
	broadcast, propagate time.Duration // of a goodbye
	joinMin, joinMax     time.Duration // between two rounds of joining
	grace                time.Duration
}

func paceOf(probe time.Duration) pace {
	return pace{
		probe: probe, probeTimeout: probe / 2,
		gossip: probe / 5, pushPull: 10 * probe,
		reconnect: 10 * probe, reap: 10 * probe,
		broadcast: max(2*probe, broadcastMin), propagate: probe / 2,
		joinMin: probe / 4, joinMax: 15 * probe,
		grace: conflictGrace * probe,
	}
}
