package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheExampleTellsItsStory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out strings.Builder
	require.NoError(t, run(ctx, t.TempDir(), &out))
	require.Equal(t, `alice logged in at a; all nodes let her in
c is gone; bob logged in at b, and the others let both in
alice logged out at b; nobody lets her in, though a renewed her session
`, out.String())
}

func TestADeletedSessionWouldComeBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c, err := start(ctx, t.TempDir())
	t.Cleanup(func() { require.NoError(t, c.stop()) })
	require.NoError(t, err)
	id, err := c.doors[0].login(ctx, "alice")
	require.NoError(t, err)
	_, err = c.doors[1].Delete(ctx, sessions, []byte(id))
	require.NoError(t, err)
	_, err = c.doors[2].enter(ctx, id)
	require.ErrorIs(t, err, errNoSession)
	require.NoError(t, c.doors[0].renew(ctx, id, "alice"))
	user, err := c.doors[2].enter(ctx, id)
	require.NoError(t, err, "the last writer wins, which is why logging out does not delete")
	require.Equal(t, "alice", user)
	require.NoError(t, c.doors[2].logout(ctx, id))
	for _, d := range c.doors {
		_, err := d.enter(ctx, id)
		require.ErrorIs(t, err, errNoSession)
	}
}
