package home

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

// fullDisk fails what needs room, but for the room of a reserve that was removed.
type fullDisk struct {
	full  bool
	cause error
	left  int64
}

func (d *fullDisk) hook(c crashfs.Call) error {
	switch {
	case !d.full:
	case c.Op == "remove" && strings.HasSuffix(c.Path, "/"+reserveName):
		d.left += reserveBytes
	case c.Op == "create" || c.Op == "mkdir" || c.Op == "write":
		need := max(512, int64(c.Bytes))
		if need > d.left {
			return d.cause
		}
		d.left -= need
	}
	return nil
}

func TestADocumentGetsTheRoomOfTheReserve(t *testing.T) {
	for name, cause := range map[string]error{"disk": syscall.ENOSPC, "quota": syscall.EDQUOT} {
		t.Run(name, func(t *testing.T) {
			disk, f := &fullDisk{cause: cause}, crashfs.New()
			f.Before(disk.hook)
			h := open(t, f)
			has := func() bool {
				st, err := f.Stat("data/a/" + reserveName)
				return err == nil && st.Size() == reserveBytes
			}
			require.True(t, has())
			disk.full = true
			require.NoError(t, h.Save("first", []byte("1")), "its folder, both copies and its name")
			require.NoError(t, h.Save("first", []byte("2")))
			require.False(t, has())

			disk.left = 0 // somebody else took what was left
			require.ErrorIs(t, h.Save("first", []byte("3")), topology.ErrDiskFull)
			require.ErrorIs(t, h.Save("second", []byte("1")), topology.ErrDiskFull)
			disk.full = false
			require.Equal(t, "2", load(t, h, "first"))
			require.NoError(t, h.Save("first", []byte("4")))
			require.True(t, has(), "it is made again once there is room")

			disk.full = true
			_, drawn, err := h.Mint()
			require.NoError(t, err)
			require.True(t, drawn)
			require.NoError(t, h.Close())
			disk.full = false
			again := open(t, f)
			require.True(t, has())
			require.Equal(t, "4", load(t, again, "first"))
			second, err := again.Load("second")
			require.NoError(t, err)
			require.Nil(t, second)
		})
	}
}

func TestADocumentLargerThanTheReserveWaitsForRoom(t *testing.T) {
	disk, f := &fullDisk{cause: syscall.ENOSPC}, crashfs.New()
	f.Before(disk.hook)
	h := open(t, f)
	large := make([]byte, DocumentBytesMax)
	disk.full = true
	require.ErrorIs(t, h.Save("large", large), topology.ErrDiskFull)
	disk.full = false
	require.NoError(t, h.Save("large", large))
	require.Equal(t, string(large), load(t, h, "large"))
}

func TestNoPlaceIsCalledReserve(t *testing.T) {
	_, err := open(t, crashfs.New()).Place(reserveName)
	require.ErrorContains(t, err, "not a name for one")
}
