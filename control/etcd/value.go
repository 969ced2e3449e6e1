package etcd

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// What stands under a key is a msgpack array of four:
//
//	0  format   uint, 1
//	1  version  uint, from 1; of a claim on a name, its number
//	2  ops      bin, 16 bytes each: what made this version, the version before
//	            it, and so on; from 1 to opsMax, never more than there are versions
//	3  body     bin
//
// An older reader refuses a format that it does not know. The version stands here
// and is not one of etcd's revisions: those go back when a snapshot is restored.
const valueFormat = 1

// opsMax is of how many versions a value says what made them. Whoever lost the
// answer to a Swap finds its op again as long as no more than this many followed.
const opsMax = 16

const opBytes = 16

// op names one attempt to change a document; it is random, and never used twice.
type op [opBytes]byte

// value is one version of a document.
type value struct {
	version uint64 // 0: there is none
	ops     []op   // newest first: ops[i] made the version that is i lower
	body    []byte
}

// op returns what made this version; the zero op for none.
func (v value) op() op {
	if len(v.ops) == 0 {
		return op{}
	}
	return v.ops[0]
}

// next returns the version after v.
func (v value) next(o op, body []byte) value {
	ops := append([]op{o}, v.ops...)
	return value{version: v.version + 1, ops: ops[:min(len(ops), opsMax)], body: body}
}

func encodeValue(v value) []byte {
	ops := make([]byte, 0, len(v.ops)*opBytes)
	for _, o := range v.ops {
		ops = append(ops, o[:]...)
	}
	w := pack.NewWriter(make([]byte, 0, len(v.body)+len(ops)+24))
	w.Array(4)
	w.Uint(valueFormat)
	w.Uint(v.version)
	w.Bin(ops)
	w.Bin(v.body)
	return w.Bytes()
}

// decodeValue shares b.
func decodeValue(b []byte) (value, error) {
	r := pack.NewReader(b)
	r.ArrayOf(4)
	if f := r.Uint(); r.Err() == nil && f != valueFormat {
		return value{}, fmt.Errorf("format %d: this version knows %d; upgrade this node: %w", f, valueFormat, topology.ErrMalformed)
	}
	v := value{version: r.Uint()}
	ops := r.BinMax(opsMax * opBytes)
	v.body = r.BinMax(BodyBytesMax)
	if err := r.Done(); err != nil {
		return value{}, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	n := uint64(len(ops) / opBytes)
	if len(ops)%opBytes != 0 || n == 0 || n > v.version {
		return value{}, fmt.Errorf("%d bytes of ops in version %d: %w", len(ops), v.version, topology.ErrMalformed)
	}
	v.ops = make([]op, n)
	for i := range v.ops {
		copy(v.ops[i][:], ops[i*opBytes:])
	}
	return v, nil
}
