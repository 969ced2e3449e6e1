package core

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func withMembers() Group {
	return Group{
		Reign: Reign{Term: 3, Leader: "a", Policy: "first 1 (a, b)"}, Life: 7, Origin: version.Origin{ID: 1, Incarnation: 1},
		Voters: []topology.NodeID{"a", "b"},
		Agreed: &Agreed{InSync: []Counted{{"a", 7}, {"b", 8}}, Minimum: 2, Why: Elected},
		Roster: &Roster{
			Seats: []topology.Seat{
				{Member: topology.Member{ID: "a", Addr: "h:1", Site: "eu"}, Role: topology.MemberVoter, Votes: true},
				{Member: topology.Member{ID: "b", Addr: "h:2"}, Role: topology.MemberVoter},
				{Member: topology.Member{ID: "d", Addr: "h:4"}, Role: topology.MemberVoter, Given: true},
				{Member: topology.Member{ID: "r", Addr: "h:5"}, Role: topology.MemberReadReplica, Given: true},
			},
			Change: Change{topology.Adding, "d"},
		},
	}
}

// The bytes of a document with members, which a later version must read.
func TestADocumentWithMembersStays(t *testing.T) {
	golden, err := os.ReadFile("testdata/members.txt")
	require.NoError(t, err)
	g := withMembers()
	require.Equal(t, strings.TrimSpace(string(golden)), hex.EncodeToString(g.Encode()))
	back, err := DecodeGroup(g.Encode())
	require.NoError(t, err)
	require.Equal(t, g, back)
	r, err := DecodeRoster(g.Roster.Encode())
	require.NoError(t, err)
	require.Equal(t, g.Roster, r)
}

func TestADocumentWhoseMembersContradictItIsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*Group){
		"b votes, and is no member":     func(g *Group) { g.Roster.Seats = append(g.Roster.Seats[:1:1], g.Roster.Seats[2:]...) },
		"is named twice":                func(g *Group) { g.Roster.Seats[3].ID = "a" },
		"not a node's name":             func(g *Group) { g.Roster.Seats[3].ID = "A!" },
		"adding x, which is no member":  func(g *Group) { g.Roster.Change.Node = "x" },
		`a member's role is \"king\"`:   func(g *Group) { g.Roster.Seats[3].Role = "king" },
		"the in-sync set [] does not":   func(g *Group) { g.Agreed.InSync = nil },
		"neither the fields of a group": func(g *Group) {},
	} {
		g := withMembers()
		spoil(&g)
		b := g.Encode()
		if strings.HasPrefix(says, "neither") {
			b[0]++
		}
		_, err := DecodeGroup(b)
		require.ErrorContains(t, err, strings.ReplaceAll(says, `\"`, `"`))
	}
	_, err := DecodeRoster([]byte{0x90})
	require.Error(t, err)
}
