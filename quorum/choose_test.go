package quorum_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
)

func TestAsFewAreChosenAsAreEnoughAndTheNearestFirst(t *testing.T) {
	rs := []quorum.Replica[string]{{Node: "a", Site: "eu"}, {Node: "b", Site: "eu"}, {Node: "c", Site: "eu"}, {Node: "x", Site: "us"}, {Node: "y", Site: "us"}, {Node: "z", Site: "us"}}
	for _, x := range []struct {
		level quorum.Consistency
		local string
		order []string
		want  []string
	}{
		{quorum.AtTwo, "", []string{"c", "a", "b"}, []string{"c", "a"}},
		{quorum.AtLocalOne, "us", []string{"a", "b", "z", "x"}, []string{"z"}},
		{quorum.AtLocalQuorum, "eu", []string{"b", "x", "a", "c"}, []string{"b", "a"}},
		{quorum.AtEachQuorum, "", []string{"a", "b", "c", "x", "y", "z"}, []string{"a", "b", "x", "y"}},
		{quorum.AtLocalQuorum, "eu", []string{"b", "x"}, []string{"b", "x"}},
		{quorum.AtOne, "", []string{"stranger", "b"}, []string{"b"}},
	} {
		n, err := quorum.Bind(x.level.Expr(), rs, x.local)
		require.NoError(t, err)
		require.Equal(t, x.want, n.Chosen(x.order), "%v of %v", x.level, x.order)
	}
}
