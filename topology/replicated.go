package topology

import "context"

// Replicated is an optional ability of an engine that nobody leads: to tell how far writes
// have come beyond what their receipts said.
type Replicated interface {
	// WaitReplicated returns once every write that the token has seen is durable on so many
	// replicas of its key as level says; ConsistencyDefault is that of writes. It makes
	// nothing happen, and fails with ErrTimeout once ctx ends.
	WaitReplicated(ctx context.Context, token Token, level Consistency) error
	// Restartable returns nil if this node may be stopped and started again now, as far as it
	// knows: the other replicas of all keys that it holds answer, are enough for writes and
	// for reads without it, and have what this node has acknowledged. An error says what is
	// not so, and wraps ErrUnavailable.
	Restartable() error
}
