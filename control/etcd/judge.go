package etcd

import (
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// The decisions of this backend: functions of what was seen and what is found,
// and of nothing else.

// mark is the newest form of a document that was seen.
type mark struct {
	version uint64 // 0: none
	op      op
}

func (v value) mark() mark { return mark{version: v.version, op: v.op()} }

// refuses says why what a linearizable read found cannot follow what had been
// seen when the read was sent; nil if it can. An older version, or another
// history of versions, means that etcd has lost what it had answered for.
func (m mark) refuses(v value) error {
	if v.version < m.version {
		return fmt.Errorf("etcd holds version %d, and version %d was seen: it was restored from an older state, or the key was deleted by hand; %s: %w",
			v.version, m.version, wayOut, topology.ErrStale)
	}
	if after := v.version - m.version; m.version > 0 && after < uint64(len(v.ops)) && v.ops[after] != m.op {
		return fmt.Errorf("etcd's version %d has another history than the version %d that was seen: it was restored from an older state and written to since; %s: %w",
			v.version, m.version, wayOut, topology.ErrStale)
	}
	return nil
}

// wayOut is what an operator can do about an etcd that went back.
const wayOut = "bring back the newer state, or, with every node stopped, remove the documents " + stableName + " from the data directories"

// fate is what a look at a document says of an attempt that makes one version.
type fate uint8

const (
	pending   fate = iota // it has not been made; this attempt may make it yet
	applied               // this attempt made it
	lost                  // another one did, so that this one never will
	forgotten             // so much has followed that it is not to be told
)

// fateOf tells what became of the attempt sought, from what is found later.
func fateOf(sought, found value) fate {
	if found.version < sought.version {
		return pending
	}
	switch after := found.version - sought.version; {
	case after >= uint64(len(found.ops)):
		return forgotten
	case found.ops[after] == sought.op():
		return applied
	}
	return lost
}
