package core_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// The stories of testdata/verify: one suspect a file.
//
//	look mine=VALUE at=N.M theirs=VALUE at2=N.M     0 for nothing; N writes of site 1 and M of site 2
func TestSuspects(t *testing.T) {
	datadriven.Walk(t, "testverify", func(t *testing.T, path string) {
		var s core.Suspect
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			require.Equal(t, "look", d.Cmd)
			var l core.Look
			for i, a := range d.CmdArgs {
				vector := func() (v version.Vector) {
					var n [2]uint64
					_, err := fmt.Sscanf(a.Vals[0], "%d.%d", &n[0], &n[1])
					require.NoError(t, err)
					for k, seq := range n {
						v = v.With(version.Origin{ID: uint32(k + 1), Incarnation: 1}, seq)
					}
					return v
				}
				switch i {
				case 0:
					_, err := fmt.Sscan(a.Vals[0], &l.Mine.Lo)
					require.NoError(t, err)
				case 1:
					l.MineAt = vector()
				case 2:
					_, err := fmt.Sscan(a.Vals[0], &l.Theirs.Lo)
					require.NoError(t, err)
				case 3:
					l.TheirsAt = vector()
				}
			}
			return []string{"open", "alike", "differs"}[s.Judge(l)] + "\n"
		})
	})
}

func TestASumIsOfWhatLasts(t *testing.T) {
	enc := record.NewEncoder()
	cell := record.Cell{Table: 9, Key: []byte("k")}
	put := record.Version{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}, Time: 1, Kind: record.KindBytes, Value: []byte("v")}
	gone, again, later := put, put, put
	gone.Absent, gone.Value, gone.Seq = true, nil, 2
	again.Seq = 3
	later.Time = 7
	sum := func(c record.Cell, vs ...record.Version) core.Sum {
		return core.SumOf(conflict.LWW(), c, &record.State{Siblings: vs}, enc)
	}
	require.Zero(t, sum(cell, gone), "a delete goes")
	require.NotEqual(t, sum(cell, put), sum(cell, again), "equal values are two writes")
	require.NotEqual(t, sum(cell, put), sum(cell, later))
	require.NotEqual(t, sum(cell, put), sum(record.Cell{Table: 9, Key: []byte("l")}, put))
	require.NotEqual(t, sum(record.Cell{Table: 9, Key: []byte("ab")}, put), sum(record.Cell{Table: 9, Key: []byte("a"), Field: []byte("b")}, put))
	a, b := sum(cell, put), sum(cell, later)
	require.Equal(t, a.Add(b), b.Add(a))
	require.NotZero(t, a.Add(a), "the same twice is not nothing")
	require.Equal(t, core.Sum{Hi: 1}, core.Sum{Lo: 1<<64 - 1}.Add(core.Sum{Lo: 1}))
}
