package conflict

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Sibling is one of several concurrent versions, decoded.
type Sibling[T any] struct {
	Value  T
	Absent bool // a delete; Value is zero
	Dot    version.Dot
	Time   version.Timestamp
}

// Typed is [Func] for values of a Go type that are stored as msgpack. fold returns
// the value, or false where nothing is to be there.
//
// Values are checked before they are decoded, and what fold returns is encoded in
// one form ([Canonical]), whatever maps are in it. A sibling that is not of the type
// is a fault: the last writer wins there.
func Typed[T any](name string, v uint32, fold func(key []byte, siblings []Sibling[T]) (T, bool, error), probes ...[]T) Resolver {
	return Func(name, v, func(key []byte, kept []record.Version) (Fold, error) {
		in := make([]Sibling[T], len(kept))
		for i, v := range kept {
			in[i] = Sibling[T]{Absent: v.Absent, Dot: v.Dot, Time: v.Time}
			if v.Absent {
				continue
			}
			if err := decodeTyped(v.Value, &in[i].Value); err != nil {
				return Fold{}, fmt.Errorf("the value of write %v: %w", v.Dot, err)
			}
		}
		out, keep, err := fold(key, in)
		if err != nil || !keep {
			return Fold{Absent: !keep}, err
		}
		b, err := encodeTyped(out)
		return Fold{Value: b}, err
	}, typedProbes(probes)...)
}

func decodeTyped(b []byte, into any) error {
	if err := pack.Walk(b); err != nil {
		return err
	}
	return msgpack.Unmarshal(b, into)
}

func encodeTyped(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return Canonical(out.Bytes())
}

// typedProbes encodes lists of values as siblings.
func typedProbes[T any](lists [][]T) [][]record.Version {
	var out [][]record.Version
	for _, values := range lists {
		var set []record.Version
		for i, v := range values {
			b, err := encodeTyped(v)
			if err != nil {
				b = []byte(err.Error())
			}
			set = append(set, probe(i, b))
		}
		out = append(out, set)
	}
	return out
}
