package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testDir = "log"

	eventually = 10 * time.Second // for what must happen, though nobody can say when
	tick       = time.Millisecond
)

var testCluster = [16]byte{0xc1, 15: 0x01}

// small are options under which segments turn over all the time.
func small(fs vfs.FS) Options {
	return Options{FS: fs, Dir: testDir, Cluster: testCluster, Node: "a", SegmentBytes: segmentBytesMin, TailBytes: 1}
}

// live is a log that runs. Stop ends and closes it; the test's end does too.
type live struct {
	*Log
	stop func() error
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	require.NoError(t, err)
	return l
}

func run(t testing.TB, l *Log) live {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		err := <-done
		if cerr := l.Close(); err == nil {
			err = cerr
		}
		return err
	})
	t.Cleanup(func() { _ = stop() })
	return live{Log: l, stop: stop}
}

func start(t testing.TB, o Options) live {
	t.Helper()
	return run(t, open(t, o))
}

// numbered is the record of that number: what it holds and how long it is
// follows from the number.
func numbered(i uint64) record.Record { return sized(i, int(i*37%200)) }

func sized(i uint64, value int) record.Record {
	return record.Record{
		Dot:  version.Dot{Origin: version.Origin{ID: 7, Incarnation: 1}, Seq: i},
		Time: version.Timestamp(i), Term: 1,
		Mutations: []record.Mutation{{
			Table: record.TableDefault, Key: fmt.Appendf(nil, "key-%d", i), Op: record.OpPut, Kind: record.KindBytes,
			Value: bytes.Repeat([]byte{byte(i)}, value),
		}},
	}
}

// put appends the records numbered from..to in term.
func put(t testing.TB, l topology.Log, term, from, to uint64) record.LSN {
	t.Helper()
	var last record.LSN
	for i := from; i <= to; i++ {
		var err error
		last, err = l.Append(term, numbered(i))
		require.NoError(t, err)
	}
	return last
}

// flush waits until everything is durable.
func flush(t testing.TB, l topology.GroupLog) {
	t.Helper()
	require.NoError(t, l.Flushed(t.Context(), l.Bounds().End))
}

// step appends records one by one, each durable before the next: each is a
// group of its own.
func step(t testing.TB, l topology.GroupLog, term, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		put(t, l, term, i, i)
		flush(t, l)
	}
}

// held reads all of a log and returns the numbers of its records, checked
// against the LSNs.
func held(t testing.TB, l topology.GroupLog) []uint64 {
	t.Helper()
	var ns []uint64
	next := l.Bounds().First
	for e, err := range l.Read(context.Background(), next) {
		require.NoError(t, err)
		require.Equal(t, next, e.LSN)
		next++
		ns = append(ns, number(t, e))
	}
	require.Equal(t, l.Bounds().End+1, next)
	return ns
}

// number returns the number of an entry's record, which it checks in full.
func number(t testing.TB, e record.Entry) uint64 {
	t.Helper()
	r, err := e.Record()
	require.NoError(t, err)
	want := sized(r.Seq, len(r.Mutations[0].Value))
	require.Equal(t, record.NewEncoder().Append(nil, &want), e.Bytes)
	require.Equal(t, record.Sum(e.Bytes), e.Sum)
	return r.Seq
}

// numbers is from..to.
func numbers(from, to uint64) []uint64 {
	var ns []uint64
	for i := from; i <= to; i++ {
		ns = append(ns, i)
	}
	return ns
}

// newest returns the number and the end of the open segment.
func newest(l *Log) (number uint64, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.st.segs[len(l.st.segs)-1]
	return s.number, s.end
}

// content returns the bytes of a file of the log.
func content(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := folder{fs: fs, dir: testDir}.read(name, 1<<30)
	require.NoError(t, err)
	return b
}

// store makes b the content of a file of the log.
func store(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	require.NoError(t, folder{fs: fs, dir: testDir}.replace(name, b))
}

// names returns the names of the log's files with that ending.
func names(t testing.TB, fs vfs.FS, ext string) []string {
	t.Helper()
	l, err := folder{fs: fs, dir: testDir}.list()
	require.NoError(t, err)
	var ns []string
	switch ext {
	case segmentExt:
		for _, n := range l.segments {
			ns = append(ns, segmentName(n))
		}
	case spareExt:
		for _, n := range l.spares {
			ns = append(ns, spareName(n))
		}
	default:
		ns = l.parts
	}
	return ns
}

// clone copies a log's directory into a file system of its own.
func clone(t testing.TB, fs vfs.FS) *crashfs.FS {
	t.Helper()
	to := crashfs.New()
	require.NoError(t, to.MkdirAll(testDir, 0o700))
	names, err := fs.List(testDir)
	require.NoError(t, err)
	for _, n := range names {
		f, err := fs.Open(fs.PathJoin(testDir, n))
		if errors.Is(err, os.ErrNotExist) {
			continue // a spare in the making got its name
		}
		require.NoError(t, err)
		b, err := io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		store(t, to, n, b)
	}
	return to
}

// intercept asks before every change of a file system, by what it is and the name
// of the file; nil asks no more.
func intercept(fs *crashfs.FS, before func(op, name string) error) {
	if before == nil {
		fs.Before(nil)
		return
	}
	fs.Before(func(c crashfs.Call) error { return before(c.Op, c.Name()) })
}

// traced returns what was done since the last call.
func traced(fs *crashfs.FS) (trace []string) {
	for _, c := range fs.Calls() {
		trace = append(trace, c.Op+" "+c.Name())
	}
	return trace
}

// logged returns a logger and what it was told.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// realDir returns a directory on a real disk.
func realDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "log")
	require.NoError(t, err)
	return dir
}
