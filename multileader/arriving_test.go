package multileader

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

func TestACellOfASnapshotIsJoinedByDots(t *testing.T) {
	us, eu := version.Origin{ID: 1, Incarnation: 1}, version.Origin{ID: 2, Incarnation: 1}
	v := func(o version.Origin, seq uint64) record.Version {
		return record.Version{Dot: version.Dot{Origin: o, Seq: seq}, Time: version.Timestamp(seq), Kind: record.KindBytes, Value: []byte("v")}
	}
	in := arriving{seen: version.Vector{{Origin: us, Seq: 9}, {Origin: eu, Seq: 5}}}
	in.Marks = []core.Mark{{Origin: us, Seq: 7}, {Origin: eu, Seq: 8}}
	encode := func(vs ...record.Version) []byte {
		return record.NewEncoder().AppendState(nil, &record.State{Siblings: vs})
	}
	for name, x := range map[string]struct {
		here, came []byte
		becomes    []record.Version
	}{
		"what it had and has no more":       {encode(v(us, 7)), nil, nil},
		"what is here alone":                {encode(v(us, 9)), nil, []record.Version{v(us, 9)}},
		"what is new":                       {nil, encode(v(eu, 8)), []record.Version{v(eu, 8)}},
		"what was here and is no more":      {nil, encode(v(eu, 5)), nil},
		"both":                              {encode(v(us, 9)), encode(v(eu, 8)), []record.Version{v(us, 9), v(eu, 8)}},
		"the same":                          {encode(v(us, 7), v(us, 9)), encode(v(us, 7), v(eu, 4)), []record.Version{v(us, 7), v(us, 9)}},
		"what has been put in its place":    {encode(v(us, 7)), encode(), []record.Version{v(us, 7)}},
		"nothing, and a delete of its past": {nil, encode(record.Version{Dot: version.Dot{Origin: eu, Seq: 6}, Absent: true}), []record.Version{{Dot: version.Dot{Origin: eu, Seq: 6}, Absent: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			c, changes, err := in.join(conflict.Siblings(), record.Cell{Table: 16, Key: []byte("k")}, x.here, x.came)
			require.NoError(t, err)
			if !changes {
				c.State = record.State{}
				if x.here != nil {
					require.NoError(t, record.DecodeState(x.here, &c.State))
				}
			}
			require.Len(t, c.State.Siblings, len(x.becomes))
			for i := range x.becomes {
				require.Equal(t, x.becomes[i].Dot, c.State.Siblings[i].Dot)
			}
		})
	}
}
