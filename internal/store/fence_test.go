package store

import (
	"bytes"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/topology"
)

// fencedOps does everything that can be done through a fence. The files were
// opened before.
func fencedOps(t *testing.T, f *fence) map[string]func() error {
	t.Helper()
	create := func(name string) vfs.File {
		file, err := f.Create(name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		return file
	}
	file, manifest := create("file"), create("MANIFEST-000001")
	rw, err := f.OpenReadWrite("rw", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	dir, err := f.OpenDir("/")
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, c := range []vfs.File{file, manifest, rw, dir} {
			require.NoError(t, c.Close())
		}
	})
	close := func(c vfs.File, err error) error {
		if err == nil {
			err = c.Close()
		}
		return err
	}
	count := func(_ int, err error) error { return err }
	full := func(_ bool, err error) error { return err }
	return map[string]func() error{
		"create":    func() error { return close(f.Create("new", vfs.WriteCategoryUnspecified)) },
		"open rw":   func() error { return close(f.OpenReadWrite("rw", vfs.WriteCategoryUnspecified)) },
		"reuse":     func() error { return close(f.ReuseForWrite("rw", "rw2", vfs.WriteCategoryUnspecified)) },
		"rename":    func() error { return f.Rename("file", "file2") },
		"link":      func() error { return f.Link("file", "file3") },
		"mkdir":     func() error { return f.MkdirAll("d", 0o700) },
		"remove":    func() error { return f.Remove("file") },
		"removeall": func() error { return f.RemoveAll("file") },
		"write":     func() error { return count(file.Write([]byte("x"))) },
		"writeat":   func() error { return count(rw.WriteAt([]byte("x"), 0)) },
		"sync":      file.Sync,
		"syncdata":  file.SyncData,
		"syncto":    func() error { return full(file.SyncTo(1)) },
		"prealloc":  func() error { return file.Preallocate(0, 1) },
		"read":      func() error { return count(rw.Read(make([]byte, 1))) },
		"readat":    func() error { return count(rw.ReadAt(make([]byte, 1), 0)) },
		"open":      func() error { return close(f.Open("rw")) },

		// What Pebble must believe in:
		"! create":   func() error { return close(f.Create("marker.x.000001.y", vfs.WriteCategoryUnspecified)) },
		"! write":    func() error { return count(manifest.Write([]byte("x"))) },
		"! sync":     manifest.Sync,
		"! syncdata": manifest.SyncData,
		"! syncto":   func() error { return full(manifest.SyncTo(1)) },
		"! prealloc": func() error { return manifest.Preallocate(0, 1) },
		"! sync dir": dir.Sync,
	}
}

func TestAFailedFenceLetsNothingThrough(t *testing.T) {
	d := newDisk(crashfs.New())
	var seen atomic.Int64
	f := newFence(d, func(error) {})
	f.running.Store(true)
	close(f.closing) // no pauses
	ops := fencedOps(t, f)
	d.on(func(op errorfs.Op) error {
		if op.Kind != errorfs.OpFileClose {
			seen.Add(1)
		}
		return nil
	})
	f.fail(errDisk)
	for name, op := range ops {
		err := op()
		if strings.HasPrefix(name, "!") {
			require.NoError(t, err, name)
		} else {
			require.Equal(t, errDisk, err, name)
		}
		require.Zero(t, seen.Load(), name)
	}
}

func TestAnErrorOfTheDiskFailsTheFence(t *testing.T) {
	harmless := map[string]bool{"remove": true, "removeall": true, "open": true, "prealloc": true, "! prealloc": true}
	for name := range fencedOps(t, newFence(vfs.NewMem(), func(error) {})) {
		t.Run(name, func(t *testing.T) {
			d := newDisk(crashfs.New())
			var told []error
			f := newFence(d, func(err error) { told = append(told, err) })
			f.running.Store(true)
			op := fencedOps(t, f)[name]
			d.on(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileClose {
					return nil
				}
				return errDisk
			})
			err := op()
			if strings.HasPrefix(name, "!") {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errDisk)
			}
			if harmless[name] {
				require.NoError(t, f.err())
			} else {
				require.ErrorIs(t, f.err(), errDisk)
				require.Len(t, told, 1)
			}
			d.off()
		})
	}
}

func TestTheFirstFailureCounts(t *testing.T) {
	var told []error
	f := newFence(vfs.NewMem(), func(err error) { told = append(told, err) })
	f.running.Store(true)
	f.fail(syscall.EIO)
	f.fail(syscall.ENOSPC)
	require.Equal(t, syscall.EIO, f.err())
	require.Equal(t, []error{syscall.EIO}, told)
}

func TestAFatalErrorFailsTheFenceAndReturns(t *testing.T) {
	var log bytes.Buffer
	f := newFence(vfs.NewMem(), func(error) {})
	q := quiet{logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), fence: f}
	q.Infof("found %d", 1)
	q.Errorf("lost %d", 2)
	require.NoError(t, f.err())
	q.Fatalf("broken %d: %w", 3, errDisk)
	require.ErrorIs(t, f.err(), errDisk)
	require.Contains(t, log.String(), `level=DEBUG msg="pebble: found 1"`)
	require.Contains(t, log.String(), `level=DEBUG msg="pebble: lost 2"`)
	require.Contains(t, log.String(), `level=ERROR`)
}

// errorLog is a logger and what it was told of errors.
func errorLog() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelError})), &b
}

func named(prefix string, kind errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool { return strings.HasPrefix(path.Base(op.Path), prefix) && op.Kind == kind }
}

func exactly(name string, kind errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool { return op.Path == name && op.Kind == kind }
}

// failing puts a fault on a disk and counts how often it is met.
func failing(d *disk, faulty func(errorfs.Op) bool) *atomic.Int64 {
	var met atomic.Int64
	d.on(func(op errorfs.Op) error {
		if faulty(op) {
			met.Add(1)
			return syscall.EIO
		}
		return nil
	})
	return &met
}

// Where Pebble installs a version it cannot take an error: it calls Fatalf, or
// panics. The store fails, all else goes on, and what was not durable is not
// taken for durable.
func TestAFaultOfAFlushIsNotFatal(t *testing.T) {
	cases := map[string]func(errorfs.Op) bool{
		"the manifest cannot be written": named("MANIFEST-", errorfs.OpFileWrite),
		"the manifest cannot be synced":  named("MANIFEST-", errorfs.OpFileSync),
		"the directory cannot be synced": exactly(first, errorfs.OpFileSync),
		"a table cannot be made":         named("0", errorfs.OpCreate),
		"a table cannot be synced":       named("0", errorfs.OpFileSyncData),
		"the pointer cannot be made":     exactly(dir+"/"+pointerTempName, errorfs.OpCreate),
		"the pointer cannot be renamed":  exactly(dir+"/"+pointerTempName, errorfs.OpRename),
		"its directory cannot be synced": exactly(dir, errorfs.OpFileSync),
	}
	for name, faulty := range cases {
		t.Run(name, func(t *testing.T) {
			for range 8 { // who hears of it first is a matter of luck
				mem := filled(t)
				d := newDisk(mem)
				var told tally
				logger, log := errorLog()
				p := open(t, Options{FS: d, OnFailure: told.tell, Logger: logger})
				require.NoError(t, p.Apply(4, []topology.Edit{put("a", "", "4")}))
				met := failing(d, faulty)
				_, err := p.Flush(t.Context())
				require.ErrorIs(t, err, topology.ErrStoreFailed)
				require.ErrorIs(t, err, syscall.EIO)
				refusesEverything(t, p)
				require.NoError(t, p.Close())
				require.EqualValues(t, 1, met.Load(), "it is not tried again")
				require.Len(t, told.all(), 1)
				require.Empty(t, log.String())

				p = open(t, Options{FS: mem.PowerCut()})
				_, _, back := p.WentBack()
				require.False(t, back)
				require.Contains(t, []int{3, 4}, int(p.Applied()))
			}
		})
	}
}

// Pebble tells of a flush whose version it could not write as of one that is
// done; only the fence knows better.
func TestAFlushIsNotBelievedInOnceTheFenceHasFailed(t *testing.T) {
	d := newDisk(filled(t))
	p := open(t, Options{FS: d})
	require.NoError(t, p.Apply(4, []topology.Edit{put("a", "", "4")}))
	failing(d, named("MANIFEST-", errorfs.OpFileSync))
	g := p.current.Load()
	done, err := g.db.AsyncFlush()
	require.NoError(t, err)
	<-done
	require.ErrorIs(t, g.flush(t.Context()), syscall.EIO)
}

func TestAFaultWhileOpeningIsAnErrorOfOpen(t *testing.T) {
	cases := map[string]func(errorfs.Op) bool{
		"the manifest cannot be made":    named("MANIFEST-", errorfs.OpCreate),
		"the manifest cannot be written": named("MANIFEST-", errorfs.OpFileWrite),
		"the manifest cannot be synced":  named("MANIFEST-", errorfs.OpFileSync),
		"its marker cannot be made":      named("marker.", errorfs.OpCreate),
		"the directory cannot be synced": exactly(first, errorfs.OpFileSync),
		"its directory cannot be synced": exactly(dir, errorfs.OpFileSync),
		"a table cannot be read":         named("0", errorfs.OpFileReadAt),
	}
	for name, faulty := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDisk(filled(t))
			logger, log := errorLog()
			met := failing(d, faulty)
			_, err := Open(small(Options{FS: d, Logger: logger}))
			require.ErrorIs(t, err, syscall.EIO)
			require.NotZero(t, met.Load())
			require.Empty(t, log.String())
			d.off()
			require.EqualValues(t, 3, open(t, Options{FS: d}).Applied())
		})
	}
}
