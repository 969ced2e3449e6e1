package ideal

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small returns a log file without the zeros, which tests need not wait for.
func small(t *testing.T) *File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return &File{f: f, size: 1 << 20}
}

// lead starts a leader and returns it with the far ends of its connections.
func lead(t *testing.T) (l *Leader, far [followers]net.Conn, stop func()) {
	t.Helper()
	var near [followers]net.Conn
	for i := range near {
		near[i], far[i] = net.Pipe()
	}
	l = NewLeader(small(t), near)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	return l, far, func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

// swallow reads n bytes, as a follower that does not answer yet.
func swallow(t *testing.T, c net.Conn, n int) {
	t.Helper()
	_, err := io.ReadFull(c, make([]byte, n))
	require.NoError(t, err)
}

func answer(t *testing.T, c net.Conn, position uint64) {
	t.Helper()
	_, err := c.Write(binary.LittleEndian.AppendUint64(nil, position))
	require.NoError(t, err)
}

const frame = 4 + 1 + 2 // of key k, value vv

func TestAWriteWaitsForOneFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, far, stop := lead(t)
		put := make(chan error, 1)
		go func() { put <- l.Writer().Put([]byte("k"), []byte("vv")) }()
		swallow(t, far[0], frame)
		swallow(t, far[1], frame)
		synctest.Wait()
		require.Empty(t, put)
		answer(t, far[1], frame)
		require.NoError(t, <-put)
		stop()
	})
}

func TestAWriteIsNotAnsweredForAShorterPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, far, stop := lead(t)
		put := make(chan error, 1)
		go func() { put <- l.Writer().Put([]byte("k"), []byte("vv")) }()
		swallow(t, far[0], frame)
		swallow(t, far[1], frame)
		answer(t, far[0], frame-1)
		answer(t, far[1], frame-1)
		synctest.Wait()
		require.Empty(t, put)
		stop()
		require.ErrorIs(t, <-put, ErrStopped)
	})
}

func TestAFollowerThatFailsEndsTheRun(t *testing.T) {
	var near, far [followers]net.Conn
	for i := range near {
		near[i], far[i] = net.Pipe()
	}
	l := NewLeader(small(t), near)
	require.NoError(t, far[0].Close())
	require.Error(t, l.Run(context.Background()))
	require.ErrorIs(t, l.Writer().Put([]byte("k"), nil), ErrStopped)
}

func TestThreeFilesHoldTheSameBytesInTheSameOrder(t *testing.T) {
	l, far, stop := lead(t)
	files := [followers]*File{small(t), small(t)}
	var follow sync.WaitGroup
	for i, c := range far {
		follow.Go(func() { _ = Follow(c, files[i]) })
	}
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			client := l.Writer()
			for i := range each {
				if err := client.Put(fmt.Appendf(nil, "w%d-%02d", w, i), []byte("value")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	stop()
	follow.Wait()
	whole := contents(t, l.file)
	require.Len(t, whole, writers*each*(4+5+5))
	one, other := contents(t, files[0]), contents(t, files[1])
	require.Equal(t, whole[:len(one)], one)
	require.Equal(t, whole[:len(other)], other)
	require.Len(t, whole, max(len(one), len(other)), "one follower has every write that was answered")
}

func contents(t *testing.T, f *File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.f.Name())
	require.NoError(t, err)
	return b
}

func TestAFileBeginsAgainAtItsStart(t *testing.T) {
	f := small(t)
	f.off = f.size - 3
	require.NoError(t, f.Append([]byte("four")))
	require.Equal(t, int64(4), f.off)
	require.Equal(t, "four", string(contents(t, f)[:4]))
}

func TestAGroupLargerThanTheFileIsRefused(t *testing.T) {
	require.ErrorContains(t, small(t).Append(make([]byte, 1<<20+1)), "more than")
}

func TestAFileIsZeroedBeforehand(t *testing.T) {
	f, err := Create(filepath.Join(t.TempDir(), "log"), 3<<20)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	st, err := f.f.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 3<<20, st.Size())
}
