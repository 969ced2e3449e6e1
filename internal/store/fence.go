package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A fence stands between one Pebble directory and the disk. The first error of
// a write, a sync, a rename or a read fails it, and from then on nothing is
// written, synced or removed any more (PW4): no file is synced again after a
// sync that failed, and no table is deleted on the strength of a manifest of
// which nobody knows what the disk holds.
//
// Pebble takes it well when a table cannot be written: the flush or compaction
// reports a BackgroundError, which fails the fence if nothing else has, forgets
// its work and begins again, at once and for ever. The fence slows that down to
// one try in retryPause, until Close ends it.
//
// What it does not take is an error while it installs a version, on its flush
// and compaction goroutines with DB.mu held:
//
//   - If the manifest cannot be written, rotated or synced, it calls
//     Logger.Fatalf and counts on that to end the process. If Fatalf returns, the
//     versions in memory are torn, and it may panic where nobody can recover.
//     If Fatalf ends the goroutine, the flush stays marked as running and Close
//     waits for it for ever. If Fatalf blocks, DB.mu is never free again.
//   - If the directory cannot be synced after a rotation, it panics.
//
// So these errors are not passed on: to writes of manifests and markers and to
// syncs of directories the fence answers that all is well, and notes that it is
// not. Pebble stays whole in memory, and what it believes to have changed on the
// disk it has not: no write and no removal comes after. Whoever waits for the
// flush looks at the fence before believing in it, and to the next Open it is as
// if the machine had stopped at the error.
//
// Where only space lacks, the fence of the store's contents does not fail: see space.
//
// What is left for Fatalf are broken invariants. It fails the fence and returns,
// as it may be called on the goroutine of any caller.
type fence struct {
	vfs.FS
	patience
	failure atomic.Pointer[error]
	failed  chan struct{} // closed once there is a failure
	running atomic.Bool   // Open has returned
	onFail  func(error)   // called once, if running
}

// retryPause is how long an operation is held up before a failed fence refuses it.
const retryPause = 100 * time.Millisecond

func newFence(fs vfs.FS, onFail func(error)) *fence {
	return &fence{FS: fs, patience: patience{closing: make(chan struct{})}, failed: make(chan struct{}), onFail: onFail}
}

// err is why the fence has failed, nil if it has not.
func (f *fence) err() error {
	if e := f.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// fail closes the fence. The first cause counts.
func (f *fence) fail(cause error) {
	if f.failure.CompareAndSwap(nil, &cause) {
		close(f.failed)
		if f.running.Load() {
			f.onFail(cause)
		}
	}
}

// refusal is nil while the fence is open. It must not be asked for with a lock held.
func (f *fence) refusal() error {
	err := f.err()
	if err == nil || !f.running.Load() {
		return err
	}
	f.slow(retryPause)
	return err
}

// background is told of an error by Pebble, which begins again.
func (f *fence) background(err error) {
	if !isFull(err) || f.spare() == nil {
		f.fail(err)
	}
}

// change runs one operation that changes the disk.
func (f *fence) change(op func() error) error { return f.attempt(false, op) }

// attempt is change, of a table or of something else.
func (f *fence) attempt(table bool, op func() error) error {
	if err := f.refusal(); err != nil {
		return err
	}
	err := op()
	if err != nil && !(table && f.noSpace(err)) {
		f.fail(err)
	}
	return err
}

func (f *fence) changeFile(op func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.change(func() error {
		file, err = op()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f}, nil
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if isDecisive(f.FS.PathBase(name)) {
		return f.createDecisive(name, c), nil
	}
	table := strings.HasSuffix(name, tableExt)
	if table {
		if err := f.begin(); err != nil {
			return nil, err
		}
	}
	var file vfs.File
	err := f.attempt(table, func() (err error) { file, err = f.FS.Create(name, c); return err })
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, table: table}, nil
}

const (
	tableExt       = ".sst"
	manifestPrefix = "MANIFEST-"
)

// isDecisive reports whether a file is one of those that Pebble must be able to write.
func isDecisive(name string) bool {
	return strings.HasPrefix(name, manifestPrefix) || strings.HasPrefix(name, "marker.")
}

func (f *fence) createDecisive(name string, c vfs.DiskWriteCategory) vfs.File {
	if f.err() == nil {
		var file vfs.File
		err := f.spare().with(func() (err error) { file, err = f.FS.Create(name, c); return err })
		if err == nil {
			return &decisiveFile{File: file, fence: f, grows: strings.HasPrefix(f.FS.PathBase(name), manifestPrefix)}
		}
		f.fail(err)
	}
	return &decisiveFile{File: nowhere{}, fence: f}
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.changeFile(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *fence) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.changeFile(func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *fence) Rename(from, to string) error {
	return f.change(func() error { return f.FS.Rename(from, to) })
}

func (f *fence) Link(from, to string) error {
	return f.change(func() error { return f.FS.Link(from, to) })
}

func (f *fence) MkdirAll(name string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(name, perm) })
}

// Remove and RemoveAll do not slow anybody down, nor fail the fence: a file
// that stays is swept up at the next Open.
func (f *fence) Remove(name string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *fence) RemoveAll(name string) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *fence) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.refusal(); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, o...)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f}, nil
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &decisiveFile{File: file, fence: f}, nil
}

// GetDiskUsage is a wish too: Pebble reports an error of it as one of its own,
// unless it says that there is no such thing here.
func (f *fence) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	u, err := f.FS.GetDiskUsage(path)
	if err != nil {
		return u, vfs.ErrUnsupported
	}
	return u, nil
}

func (f *fence) Unwrap() vfs.FS { return f.FS }

// fencedFile is a file behind a fence. Stat, Prefetch, Fd and Close pass.
type fencedFile struct {
	vfs.File
	fence *fence
	table bool // it is being made; nothing rests on it yet
}

func (f *fencedFile) change(op func() error) error { return f.fence.attempt(f.table, op) }

func (f *fencedFile) Write(p []byte) (n int, err error) {
	err = f.change(func() error {
		n, err = f.File.Write(p)
		return err
	})
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.change(func() error {
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}

func (f *fencedFile) Sync() error     { return f.change(f.File.Sync) }
func (f *fencedFile) SyncData() error { return f.change(f.File.SyncData) }

func (f *fencedFile) SyncTo(n int64) (full bool, err error) {
	err = f.change(func() error {
		full, err = f.File.SyncTo(n)
		return err
	})
	return full, err
}

// Preallocate is a wish: Pebble goes on without, and so does the fence.
func (f *fencedFile) Preallocate(at, n int64) error {
	if err := f.fence.err(); err != nil {
		return err
	}
	return f.File.Preallocate(at, n)
}

func (f *fencedFile) Read(p []byte) (int, error) {
	if err := f.fence.refusal(); err != nil {
		return 0, err
	}
	n, err := f.File.Read(p)
	f.read(err)
	return n, err
}

func (f *fencedFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.fence.refusal(); err != nil {
		return 0, err
	}
	n, err := f.File.ReadAt(p, at)
	f.read(err)
	return n, err
}

func (f *fencedFile) read(err error) {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.fence.fail(err)
	}
}

// decisiveFile is a file or a directory whose errors are kept from Pebble.
type decisiveFile struct {
	vfs.File
	fence *fence
	grows bool  // it is a manifest, which is appended to for long, and gets room ahead
	at    int64 // its end
	room  int64 // as far as it was given
}

func (f *decisiveFile) change(op func() error) error {
	if f.fence.err() == nil {
		if err := op(); err != nil {
			f.fence.fail(err)
		}
	}
	return nil
}

func (f *decisiveFile) Write(p []byte) (int, error) {
	done := 0 // what is in the file already is not written twice
	err := f.change(func() error {
		return f.fence.spare().with(func() error {
			n, err := f.File.Write(p[done:])
			done += n
			return err
		})
	})
	f.at += int64(done)
	f.provide()
	return len(p), err
}

// manifestAhead is how much room a manifest is given at once, before it needs it:
// what then fills the disk does not keep it from being written. An entry of it has
// some hundred bytes, one for each table that is flushed and each compaction.
const manifestAhead = 256 << 10

// provide sees to it that at least half of that is there. It is a wish: some file
// systems know no such thing, and a manifest without has the reserve.
func (f *decisiveFile) provide() {
	for f.grows && f.fence.err() == nil && f.room-f.at < manifestAhead/2 {
		from := max(f.at, f.room)
		if f.File.Preallocate(from, manifestAhead) != nil {
			return
		}
		f.room = from + manifestAhead
	}
}

func (f *decisiveFile) Sync() error     { return f.change(f.File.Sync) }
func (f *decisiveFile) SyncData() error { return f.change(f.File.SyncData) }

func (f *decisiveFile) SyncTo(n int64) (full bool, err error) {
	err = f.change(func() error {
		full, err = f.File.SyncTo(n)
		return err
	})
	return full, err
}

func (f *decisiveFile) Preallocate(at, n int64) error {
	return f.change(func() error {
		_ = f.File.Preallocate(at, n) // a wish
		return nil
	})
}

// Close always closes.
func (f *decisiveFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fence.fail(err)
	}
	return nil
}

// nowhere stands for a file that could not be made. With the fence closed
// nothing is written to it.
type nowhere struct{ vfs.File }

func (nowhere) Fd() uintptr                            { return vfs.InvalidFd }
func (nowhere) Close() error                           { return nil }
func (nowhere) Prefetch(int64, int64) error            { return nil }
func (nowhere) Stat() (vfs.FileInfo, error)            { return nil, os.ErrNotExist }
func (nowhere) Read([]byte) (int, error)               { return 0, io.EOF }
func (nowhere) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// quiet is Pebble's Logger: everything it says is for debugging, as what
// matters is returned, or told to OnFailure.
type quiet struct {
	logger *slog.Logger
	fence  *fence
}

func (q quiet) Infof(format string, args ...any)  { q.log(format, args) }
func (q quiet) Errorf(format string, args ...any) { q.log(format, args) }

func (q quiet) log(format string, args []any) {
	if ctx := context.Background(); q.logger.Enabled(ctx, slog.LevelDebug) {
		q.logger.Log(ctx, slog.LevelDebug, "pebble: "+fmt.Sprintf(format, args...))
	}
}

// Fatalf tells of a broken invariant, and returns: see fence.
func (q quiet) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	q.logger.Error("the storage engine has given up", slog.Any("error", err))
	q.fence.fail(err)
}
