package call

import (
	"errors"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// NotApplied states the outcome of a failure before anything was written or
// sent.
func NotApplied(err error) error {
	return &topology.Error{Outcome: topology.NotApplied, Err: err}
}

// Named returns err as the caller of an operation gets it: one *topology.Error
// that names operation, table and key, and node if it names none. The outcome is
// that of the outermost *topology.Error in err, Unknown if there is none, and a
// leader that any of them names is kept. err itself, which many callers may
// share, is not changed.
func Named(err error, op string, node topology.NodeID, table string, key []byte) error {
	e := topology.Error{Outcome: topology.Unknown, Err: err}
	var given *topology.Error
	if errors.As(err, &given) {
		e = *given
		if err != error(given) { // something was said around it
			e.Err = err
		}
	}
	e.Op, e.Table, e.Key = op, table, nil
	if e.Node == "" {
		e.Node = node
	}
	if key != nil {
		e.Key = append([]byte{}, key[:min(len(key), record.KeyBytesMax)]...)
	}
	var within *topology.Error
	if e.Leader == "" && errors.As(e.Err, &within) {
		e.Leader, e.Addr = within.Leader, within.Addr
	}
	return &e
}
