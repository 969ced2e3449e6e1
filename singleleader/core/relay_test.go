package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/topology"
)

// testdata/upstreams.txt is how a read replica finds who feeds it.
//
//	list NAME …                          its upstreams; patience is 1 s, rest 10 s
//	at D [from=NAME] [silent]            by whom it is fed then
func TestUpstreamStories(t *testing.T) {
	var u Upstreams
	datadriven.RunTest(t, "testdata/upstreams.txt", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "list" {
			u = Upstreams{Patience: time.Second, Rest: 10 * time.Second}
			for _, a := range d.CmdArgs {
				u.List = append(u.List, topology.NodeID(a.Key))
			}
			return ""
		}
		now, err := time.ParseDuration(d.CmdArgs[0].Key)
		require.NoError(t, err)
		in := Intake{From: topology.NodeID(storyArgs{t, d}.str("from")), Silent: d.HasArg("silent")}
		who := u.Next(now, in)
		if who == "" {
			return "the leader is to feed it\n"
		}
		return fmt.Sprintf("%s is to feed it\n", who)
	})
}

func TestAStreamThatIsPassedOnSaysHowItCame(t *testing.T) {
	g := Group{Reign: Reign{Term: 3, Leader: "a", Policy: "async"}, Life: 7, Voters: []topology.NodeID{"a"}}
	begin := func(path ...topology.NodeID) stream.Begin {
		return stream.Begin{Group: GroupName, Term: 3, Body: g.Encode(), Path: path}
	}
	from := topology.Peer{ID: "b", Life: 9}
	_, err := Opening(from, begin("a", "b"), GroupName)
	require.NoError(t, err)
	long := []topology.NodeID{"a", "c", "d", "e", "f", "g", "h", "b"}
	for name, path := range map[string][]topology.NodeID{
		"of another sender":            {"a", "c"},
		"of another leader":            {"c", "b"},
		"of the sender alone":          {"b"},
		"longer than a cascade may be": long,
	} {
		_, err := Opening(from, begin(path...), GroupName)
		require.Error(t, err, name)
	}
	_, err = Opening(topology.Peer{ID: "a", Life: 7}, begin("a", "a"), GroupName)
	require.ErrorIs(t, err, topology.ErrMalformed, "who leads passes nothing on")
	other := begin("a", "b")
	other.Term = 4
	_, err = Opening(from, other, GroupName)
	require.ErrorIs(t, err, topology.ErrMalformed, "the document is of another term")
}
