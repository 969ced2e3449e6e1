package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheExampleTellsItsStory(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), t.TempDir(), &out))
	require.Regexp(t, `^eu shows what was put in us: apples
(us and eu|eu and us) changed one cart at once; all sites show one of the two
the other is in the list: (update/update|insert/insert), 1 loser
$`, out.String())
}
