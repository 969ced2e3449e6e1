package home

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// withLog returns a disk on which a home has a place called log.
func withLog(t *testing.T) *vfs.MemFS {
	t.Helper()
	disk := vfs.NewMem()
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	at, err := h.Place("log")
	require.NoError(t, err)
	require.Equal(t, "data/a/log", at)
	require.NoError(t, h.Close())
	return disk
}

func TestPlaceIsFoundAgain(t *testing.T) {
	h := open(t, withLog(t))
	at, err := h.Place("log")
	require.NoError(t, err)
	require.Equal(t, "data/a/log", at)
}

func TestPlaceThatIsNotTheOneItWasIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		happen func(t *testing.T, disk *vfs.MemFS)
		reason error
	}{
		"gone": {func(t *testing.T, disk *vfs.MemFS) {
			require.NoError(t, disk.RemoveAll("data/a/log"))
		}, ErrLost},
		"empty, as where nothing is mounted": {func(t *testing.T, disk *vfs.MemFS) {
			require.NoError(t, disk.Remove("data/a/log/PLACE"))
		}, ErrLost},
		"of another home": {func(t *testing.T, disk *vfs.MemFS) {
			write(t, disk, "data/a/log/PLACE", seal(magicPlace, encodePlace("log", 4711)))
		}, ErrForeign},
		"spoilt": {func(t *testing.T, disk *vfs.MemFS) {
			spoil(t, disk, "data/a/log/PLACE")
		}, ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			disk := withLog(t)
			c.happen(t, disk)
			_, err := open(t, disk).Place("log")
			require.ErrorIs(t, err, c.reason)
		})
	}
}

func TestPlaceIsNotMadeOverSomethingElse(t *testing.T) {
	disk := vfs.NewMem()
	h := open(t, disk)
	require.NoError(t, disk.MkdirAll("data/a/log", 0o700))
	write(t, disk, "data/a/log/photo.jpg", nil)
	_, err := h.Place("log")
	require.ErrorIs(t, err, ErrForeign)
}

func TestPlaceHasAName(t *testing.T) {
	h := open(t, vfs.NewMem())
	for _, name := range []string{"", "..", "a/b", "stable", "aside", "identity", "LOCK"} {
		_, err := h.Place(name)
		require.Error(t, err, name)
	}
}

func TestPlacesHaveALimit(t *testing.T) {
	h := open(t, vfs.NewMem())
	for i := range PlacesMax {
		_, err := h.Place("place-" + string(rune('a'+i)))
		require.NoError(t, err)
	}
	_, err := h.Place("one-more")
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = h.Place("place-a")
	require.NoError(t, err)
}
