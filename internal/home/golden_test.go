package home

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenDisk is a directory with one file of each form in it.
func goldenDisk(t *testing.T) *vfs.MemFS {
	disk := vfs.NewMem()
	require.NoError(t, disk.MkdirAll("data/a/log", 0o700))
	require.NoError(t, disk.MkdirAll("data/a/stable", 0o700))
	i := identity{
		cluster: "shop", id: [16]byte{1, 2, 3}, known: true, node: "a", life: 0x0123456789abcdef,
		places: []string{"log"}, documents: []string{"control/group", "term"},
	}
	write(t, disk, "data/a/identity", seal(magicIdentity, i.encode()))
	write(t, disk, "data/a/log/PLACE", seal(magicPlace, encodePlace("log", i.life)))
	for _, file := range []string{"term.a", "term.b"} {
		write(t, disk, "data/a/stable/"+file, seal(magicDocument, encodeDocument("term", document{sequence: 7, value: []byte("value")})))
	}
	return disk
}

// The bytes of every file in format 1: directories that were written by it must
// be read for ever, so a change here is a change of the format.
func TestTheFormsOnDiskStay(t *testing.T) {
	const path = "testdata/files.golden"
	disk := goldenDisk(t)
	h, err := Open(options(disk, "data/a"))
	require.NoError(t, err)
	_, err = h.Sidelog().Keep("a reason", tail(4, 2, nil))
	require.NoError(t, err)
	require.NoError(t, h.Close())
	var b strings.Builder
	b.WriteString("# Files of a data directory in format 1. Generated with -update; never by hand.\n")
	for _, name := range []string{"identity", "log/PLACE", "stable/term.a", "stable/term.b", "aside/00000001.entries"} {
		bytes, err := disk.UnsafeGetFileDataBuffer("data/a/" + name)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s %s\n", name, hex.EncodeToString(bytes))
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// A directory made of the golden bytes is read.
func TestADirectoryOfFormat1IsRead(t *testing.T) {
	b, err := os.ReadFile("testdata/files.golden")
	require.NoError(t, err)
	disk := vfs.NewMem()
	for _, dir := range []string{"log", "stable", "aside"} {
		require.NoError(t, disk.MkdirAll("data/a/"+dir, 0o700))
	}
	for line := range strings.Lines(string(b)) {
		if name, digits, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			bytes, err := hex.DecodeString(digits)
			require.NoError(t, err)
			write(t, disk, "data/a/"+name, bytes)
		}
	}
	h := open(t, disk)
	id, known := h.Cluster()
	require.True(t, known)
	require.Equal(t, [16]byte{1, 2, 3}, id)
	require.Equal(t, uint64(0x0123456789abcdef), h.Life())
	_, err = h.Place("log")
	require.NoError(t, err)
	require.Equal(t, "value", load(t, h, "term"))
	kept, err := h.Sidelog().List()
	require.NoError(t, err)
	require.Equal(t, "a reason", kept[0].Why)
	for e, err := range h.Sidelog().Entries(kept[0].Name) {
		require.NoError(t, err)
		require.Equal(t, uint64(3), e.Term)
	}
}
