package demo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
)

// folder makes a tree of files, some of them odd.
func folder(t *testing.T, files int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%7), fmt.Sprintf("file %d", i))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{byte(i), 0xff, '\n'}, i*100), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Ünïcode \U0001f642"), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 3<<20), 0o600))
	require.NoError(t, os.Symlink("large", filepath.Join(dir, "link")))
	return dir
}

func TestALoadedTreeIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Load: folder(t, 98)})
	require.NoError(t, d.run(t.Context()), "%s", out)
	require.Contains(t, out.String(), "ok: 100 records acknowledged")
	require.Contains(t, out.String(), "ok: the disk, the leader and 3 followers hold the same bytes")
	sums := map[string]int{}
	for line := range strings.Lines(out.String()) {
		if f := strings.Fields(line); len(f) > 3 && len(f[len(f)-1]) == 64 {
			require.Equal(t, "100", f[len(f)-3])
			sums[f[len(f)-1]]++
		}
	}
	require.Len(t, sums, 1)
	for _, n := range sums {
		require.Equal(t, 5, n, "the disk and four nodes")
	}
}

func TestALoadFailsWhereTheDiskHoldsSomethingElse(t *testing.T) {
	t.Parallel()
	dir := folder(t, 20)
	d, out := playing(t, Options{Load: dir})
	out.when("acknowledged", func() { require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, 3<<20-1), 0o600)) })
	require.ErrorIs(t, d.run(t.Context()), ErrCheck)
	require.Contains(t, out.String(), "FAILED: leader does not hold what the disk holds")
}

func TestALoadFailsWhereAFileIsGone(t *testing.T) {
	t.Parallel()
	dir := folder(t, 20)
	d, out := playing(t, Options{Load: dir})
	require.NoError(t, os.Remove(filepath.Join(dir, "large")))
	require.ErrorIs(t, d.run(t.Context()), ErrCheck)
	require.Contains(t, out.String(), "FAILED: ")
	require.Contains(t, out.String(), "large: no such file or directory")
}

func TestALoadFailsWhereAFollowerDoes(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Load: folder(t, 20)})
	out.when("acknowledged", func() { d.c.node("standby-3").life.(*inside).plug.Pull() })
	require.ErrorIs(t, d.run(t.Context()), ErrCheck)
	require.Regexp(t, `FAILED: .*standby-3`, out.String())
}

func TestAFileThatIsTooLargeIsNamedBeforeAnythingIsWritten(t *testing.T) {
	for name, size := range map[string]int64{"more than a value": record.ValueBytesMax + 1, "no room for the key": record.ValueBytesMax} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sparse")
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.NoError(t, os.Truncate(path, size))
			_, err := newDemo(Options{Load: filepath.Dir(path)})
			require.ErrorIs(t, err, ErrInput)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "16.0 MiB")
		})
	}
}

func TestATreeOfTooManyFilesIsRefused(t *testing.T) {
	dir := folder(t, 3)
	_, err := listTree(dir, 4)
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "more than 4 files")
	tree, err := listTree(dir, 5)
	require.NoError(t, err)
	require.Len(t, tree.files, 5)
}

func TestAFolderBehindALinkIsRead(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(folder(t, 2), link))
	tree, err := listTree(link, 100)
	require.NoError(t, err)
	require.Len(t, tree.files, 4)
}

func TestADigestTellsFieldsApart(t *testing.T) {
	sum := func(fields ...string) string {
		d := newDigest()
		for _, f := range fields {
			d.field([]byte(f))
		}
		return d.String()
	}
	require.Equal(t, sum("ab", "c"), sum("ab", "c"))
	require.NotEqual(t, sum("ab", "c"), sum("a", "bc"))
	require.NotEqual(t, sum("ab"), sum("ab", ""))
}
