package conflict_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// The removal of what has expired is ranked as what it removes: a write that it has not
// seen wins over it if it would have won over that, in whichever order they come, and
// whatever the last writer has let a place forget meanwhile.
func TestARemovalOfWhatExpiredIsRankedAsThat(t *testing.T) {
	const us, eu, expired = 2, 1, version.Timestamp(50)
	v := record.Record{Dot: dot(us, 1), Time: expired, Mutations: []record.Mutation{{Op: record.OpPut, Kind: record.KindBytes, Expires: 60, Value: []byte("old")}}}
	for _, remover := range []uint32{us, eu + 2} {
		removal := record.Record{Dot: dot(remover, 2), Time: 900, Mutations: []record.Mutation{{Op: record.OpDelete, Kind: record.KindBytes, Expires: expired + 1}}}
		for _, at := range []version.Timestamp{49, 50, 51, 52, 800} {
			w := record.Record{Dot: dot(eu, 1), Time: at, Mutations: []record.Mutation{{Op: record.OpPut, Kind: record.KindBytes, Value: []byte("new")}}}
			for _, r := range []conflict.Resolver{conflict.LWW(), conflict.FirstWriter(), conflict.Siblings()} {
				t.Run(fmt.Sprint(r.ID().Name, " by ", remover, " at ", at), func(t *testing.T) {
					var ends []string
					for _, order := range [][]*record.Record{{&v, &removal, &w}, {&v, &w, &removal}, {&w, &v, &removal}} {
						var held []record.Version
						seen := setOf()
						for _, x := range order {
							m := x.Mutations[0]
							m.Table, m.Key = spot.Table, spot.Key
							covers := setOf()
							if x == &removal {
								covers = setOf(v.Dot)
							}
							s := &site{cells: map[string]record.State{"": {Siblings: held}}}
							changes, err := conflict.Apply(&record.Record{Dot: x.Dot, Time: x.Time, Mutations: []record.Mutation{m}},
								func(record.TableID) conflict.Resolver { return r }, seen, covers, s)
							require.NoError(t, err)
							require.Len(t, changes, 1)
							held = changes[0].State.Siblings
							seen.Add(x.Dot)
						}
						shown := ""
						for _, s := range r.Settle(spot, held).Shown {
							shown += fmt.Sprint(string(s.Bytes), s.Absent)
						}
						ends = append(ends, text(held)+" "+shown)
						switch {
						case r.ID() == conflict.LWW().ID() && at > expired+1:
							require.Equal(t, "newfalse", shown, "it is later than what expired")
						case r.ID() == conflict.LWW().ID() && at <= expired:
							require.Empty(t, shown, "it would have lost to what expired")
						}
					}
					require.Equal(t, ends[0], ends[1])
					require.Equal(t, ends[0], ends[2])
				})
			}
		}
	}
}

// What has been deleted does not say when what stands beside it expires.
func TestADeleteDoesNotKeepACounterForEver(t *testing.T) {
	gone, n := write(1, 1), write(2, 1, 9)
	gone.Kind, gone.Absent, gone.Value = record.KindCounter, true, nil
	n.Kind, n.Value, n.Expires = record.KindCounter, numberBytes(3), 70
	require.EqualValues(t, 70, conflict.Join().Settle(spot, []record.Version{gone, n}).Shown[0].Expires)
}
