package topology

import "context"

// Transport carries calls and streams between nodes of one cluster. Whoever is
// at the other end has shown the same cluster id and a node id that the
// membership knows; frames carry both by way of their connection (rule C7).
//
// Handlers are registered before Run and run on goroutines of the transport
// until Run's context ends; Run waits for them.
type Transport interface {
	// Call sends req to a method of node to and returns its answer, which is
	// the caller's. A *Error from the other side arrives as one. An error
	// before the request was sent is NotApplied, after it Unknown.
	Call(ctx context.Context, to NodeID, method string, req []byte) ([]byte, error)
	// Open opens a stream of its own connection to node to.
	Open(ctx context.Context, to NodeID, protocol string) (Stream, error)
	// HandleCall answers a method, for callers that have one of roles.
	HandleCall(method string, roles PeerRoles, h CallHandler)
	// HandleStream serves a protocol to other nodes.
	HandleStream(protocol string, h StreamHandler)
	// Run listens and works until ctx ends.
	Run(ctx context.Context) error
}

// CallHandler answers one call. req is its own until it returns; the answer is
// the transport's afterwards.
type CallHandler func(ctx context.Context, from Peer, req []byte) ([]byte, error)

// StreamHandler serves one stream and returns when it is done with it.
type StreamHandler func(ctx context.Context, s Stream) error

// Stream is an ordered, reliable, two-way sequence of messages on a connection
// of its own. One goroutine may send while another receives.
type Stream interface {
	// Peer is who is at the other end.
	Peer() Peer
	// Send sends one message, the concatenation of parts, and does not keep
	// them. It blocks while the connection is full, within the transport's
	// write time-out.
	Send(parts ...[]byte) error
	// Recv returns the next message, valid until the next Recv. A peer that
	// closed in order is io.EOF. Silence beyond the transport's read time-out
	// is an error.
	Recv() ([]byte, error)
	// Close ends the stream and unblocks Send and Recv.
	Close() error
}

// Peer is who is at the other end of a connection.
type Peer struct {
	ID   NodeID
	Role PeerRole
	Life uint64 // names its data directory; 0 for a client
	Addr string
}

// PeerRole is what a connection may do.
type PeerRole uint8

const (
	PeerNode   PeerRole = 1 << iota // a node of the cluster
	PeerClient                      // a client: calls that admit clients, no streams
)

// PeerRoles is a set of roles.
type PeerRoles = PeerRole
