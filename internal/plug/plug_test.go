package plug_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/plug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const category vfs.DiskWriteCategory = "test"

func TestAPulledPlugLetsNothingReachTheDisk(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	p := plug.New(plug.Options{})
	fs := p.FS()
	require.Equal(t, vfs.Default, vfs.Root(fs))
	f, err := fs.Create(at("file"), category)
	require.NoError(t, err)
	_, err = f.Write([]byte("before"))
	require.NoError(t, err)
	p.Pull()
	_, err = f.Write([]byte("after"))
	require.ErrorIs(t, err, plug.ErrPulled)
	_, err = f.WriteAt([]byte("after"), 0)
	require.ErrorIs(t, err, plug.ErrPulled)
	_, err = f.SyncTo(1)
	require.ErrorIs(t, err, plug.ErrPulled)
	for name, change := range map[string]func() error{
		"sync":        f.Sync,
		"sync data":   f.SyncData,
		"preallocate": func() error { return f.Preallocate(0, 1<<20) },
		"remove":      func() error { return fs.Remove(at("file")) },
		"remove all":  func() error { return fs.RemoveAll(at("file")) },
		"rename":      func() error { return fs.Rename(at("file"), at("other")) },
		"link":        func() error { return fs.Link(at("file"), at("other")) },
		"mkdir":       func() error { return fs.MkdirAll(at("dir"), 0o700) },
		"create":      func() error { _, err := fs.Create(at("other"), category); return err },
		"reuse":       func() error { _, err := fs.ReuseForWrite(at("file"), at("other"), category); return err },
		"open":        func() error { _, err := fs.OpenReadWrite(at("other"), category); return err },
		"open dir":    func() error { _, err := fs.OpenDir(dir); return err },
	} {
		require.ErrorIs(t, change(), plug.ErrPulled, name)
	}
	require.NoError(t, f.Close())
	b, err := os.ReadFile(at("file"))
	require.NoError(t, err)
	require.Equal(t, "before", string(b))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestAPulledPlugResetsItsConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := plug.New(plug.Options{})
	plugged := p.Listener(l)
	accepted := make(chan net.Conn, 1)
	refused := make(chan error, 1)
	go func() {
		c, _ := plugged.Accept()
		accepted <- c
		_, err := plugged.Accept()
		refused <- err
	}()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, peer.Close()) }()
	c := <-accepted
	_, half := c.(interface{ CloseWrite() error })
	require.True(t, half)
	p.Pull()
	require.Error(t, <-refused)
	_, err = peer.Read(make([]byte, 1))
	require.ErrorContains(t, err, "reset")
	require.NotErrorIs(t, err, io.EOF)
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = p.Dial(t.Context(), l.Addr().String())
	require.ErrorIs(t, err, plug.ErrPulled)
}

func TestAFrozenPlugLetsGoOnOnceItThaws(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := plug.New(plug.Options{Freezes: true})
		f, err := p.FS().Create(filepath.Join(dir, "file"), category)
		require.NoError(t, err)
		p.Freeze()
		p.Freeze()
		wrote := make(chan error, 1)
		go func() {
			_, err := f.Write([]byte("12345"))
			wrote <- err
		}()
		synctest.Wait()
		require.Empty(t, wrote, "it waits")
		require.Zero(t, p.Counts())
		p.Thaw()
		require.NoError(t, <-wrote)
		require.NoError(t, f.SyncData())
		counts := p.Counts()
		counts.SyncTime = 0 // as long as the disk took
		require.Equal(t, plug.Counts{DiskBytes: 5, Syncs: 1}, counts)
		p.Freeze()
		go func() { wrote <- f.Sync() }()
		synctest.Wait()
		require.Empty(t, wrote, "it waits")
		p.Pull()
		require.ErrorIs(t, <-wrote, plug.ErrPulled, "pulled, nothing stays frozen")
		require.NoError(t, f.Close())
	})
}

func TestASlowDiskTakesLongerForEverySync(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := plug.New(plug.Options{})
		f, err := p.FS().Create(filepath.Join(dir, "file"), category)
		require.NoError(t, err)
		began := time.Now()
		p.SlowDisk(20 * time.Millisecond)
		require.NoError(t, f.Sync())
		require.Equal(t, 20*time.Millisecond, time.Since(began))
		p.SlowDisk(0)
		require.NoError(t, f.Sync())
		require.Equal(t, 20*time.Millisecond, time.Since(began))
		require.NoError(t, f.Close())
	})
}

func TestWhatIsReceivedIsCountedOnceAndCanBeFrozen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	near, far := plug.New(plug.Options{Freezes: true}), plug.New(plug.Options{Freezes: true})
	plugged := far.Listener(l)
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := plugged.Accept()
		accepted <- c
	}()
	c, err := near.Dial(t.Context(), l.Addr().String())
	require.NoError(t, err)
	d := <-accepted
	near.Freeze()
	wrote := make(chan error)
	go func() {
		_, err := c.Write([]byte("abc"))
		wrote <- err
	}()
	near.Thaw()
	require.NoError(t, <-wrote)
	b := make([]byte, 3)
	_, err = io.ReadFull(d, b)
	require.NoError(t, err)
	require.Equal(t, "abc", string(b))
	require.EqualValues(t, 3, far.Counts().WireBytes)
	require.Zero(t, near.Counts().WireBytes)
	require.Equal(t, far.Counts(), near.Counts().Plus(far.Counts()).Minus(near.Counts()))
	require.NoError(t, c.Close())
	require.NoError(t, d.Close())
	require.NoError(t, plugged.Close())
}
