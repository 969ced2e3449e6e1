package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheExampleTellsItsStory(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), t.TempDir(), &out))
	require.Equal(t, "c reads what a wrote: Alice of Oslo\nb leads term 2\na, a follower now, reads Bob\n", out.String())
}
