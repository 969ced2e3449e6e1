package etcd

import (
	"fmt"
	"maps"
	"slices"

	"github.com/triad-kv/triad/record/pack"
)

// stableName is the document beside the log in which the marks stand.
const stableName = "control/etcd"

// The marks are a msgpack array of three:
//
//	0  format   uint, 1
//	1  cluster  uint, etcd's id of its cluster; 0 before its first answer
//	2  marks    array of marks, ascending by key, each an array of three:
//	            0 key  str, below the prefix and the cluster's name
//	            1 version  uint, from 1
//	            2 op       bin, 16 bytes
const marksFormat = 1

// marks are what this node has seen of etcd, by key; they outlive the process.
type marks struct {
	cluster uint64
	seen    map[string]mark
}

func encodeMarks(m marks) []byte {
	keys := slices.Sorted(maps.Keys(m.seen))
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(marksFormat)
	w.Uint(m.cluster)
	w.Array(len(keys))
	for _, k := range keys {
		w.Array(3)
		w.Str(k)
		w.Uint(m.seen[k].version)
		o := m.seen[k].op
		w.Bin(o[:])
	}
	return w.Bytes()
}

func decodeMarks(b []byte) (marks, error) {
	m := marks{seen: map[string]mark{}}
	if b == nil {
		return m, nil
	}
	r := pack.NewReader(b)
	r.ArrayOf(3)
	if f := r.Uint(); r.Err() == nil && f != marksFormat {
		return m, fmt.Errorf("format %d: this version knows %d; upgrade this node", f, marksFormat)
	}
	m.cluster = r.Uint()
	last := ""
	for range r.ArrayMax(NamesMax + 1) {
		r.ArrayOf(3)
		key := r.StrMax(len(documentKey) + nameBytesMax)
		k := mark{version: r.Uint()}
		if o := r.BinMax(opBytes); len(o) == opBytes {
			copy(k.op[:], o)
		} else {
			r.Fail("an op of another length")
		}
		if key <= last || k.version == 0 {
			r.Fail("marks out of order, or of version 0")
		}
		if r.Err() != nil {
			break
		}
		last, m.seen[key] = key, k
	}
	return m, r.Done()
}
