package home

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/topology"
)

// Limits of a home.
const (
	DocumentBytesMax = 1 << 20 // of one document
	DocumentsMax     = 1024    // names of documents
	PlacesMax        = 16
)

const (
	lockName        = "LOCK"
	identityName    = "identity"
	stableName      = "stable"
	placeName       = "PLACE"
	temporarySuffix = ".new"

	nameBytesMax = 128
	dirMode      = 0o700

	writeCategory vfs.DiskWriteCategory = "triad-home"
)

// FS is the file system a home stands in.
type FS = vfs.FS

// Options say which directory is opened, and for whom.
type Options struct {
	FS      vfs.FS // nil is the operating system's
	Dir     string // made if it is not there, with mode 0700
	Cluster string // the cluster's name, of the form of a node's name
	Node    topology.NodeID
	Life    uint64       // of a directory that is made now; 0 draws one
	Logger  *slog.Logger // nil discards

	// OnFailure is called once, with the first failure of the disk (H6), by
	// whoever has met it: it must return at once.
	OnFailure func(error)
}

// Home is an open data directory. It is safe for concurrent use.
type Home struct {
	disk     vfs.FS
	dir      string
	lock     io.Closer
	fresh    bool
	warnings []string
	logger   *slog.Logger
	side     *Sidelog
	ill      func(error) // told of the first failure

	// turn holds one token. Who has it may write to the directory; the others
	// queue for it, and nobody who answers a request is among them.
	turn  chan struct{}
	spare *reserve

	mu       sync.Mutex // guards what follows; never held over I/O
	identity identity
	failed   error // the first failure of the disk (H6)
	closed   bool
}

// Open opens the directory, and makes it if there is none. Every reason not to
// is a [*Refusal], and leaves the directory as it was.
func Open(o Options) (*Home, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	h := &Home{disk: o.FS, dir: o.Dir, logger: o.Logger, ill: o.OnFailure, turn: make(chan struct{}, 1)}
	h.side, h.spare = newSidelog(h), &reserve{home: h}
	steps := opening{h}
	if err := steps.prepare(); err != nil {
		return nil, err
	}
	if err := steps.acquire(); err != nil {
		return nil, err
	}
	if err := steps.enterAs(&o); err != nil {
		return nil, errors.Join(err, h.lock.Close())
	}
	h.turn <- struct{}{}
	return h, nil
}

func (o *Options) complete() error {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFailure == nil {
		o.OnFailure = func(error) {}
	}
	switch {
	case o.Dir == "":
		return errors.New("data directory: none was named")
	case !o.Node.Valid():
		return fmt.Errorf("data directory %s: node %q is not a name", o.Dir, o.Node)
	case !topology.NodeID(o.Cluster).Valid():
		return fmt.Errorf("data directory %s: cluster %q is not a name", o.Dir, o.Cluster)
	}
	return nil
}

// opening is a Home that is being opened: nobody else knows it yet.
type opening struct{ *Home }

// prepare makes sure that the directory is there, and that nothing speaks
// against taking it. Only the mode of a directory that is nobody's yet is changed.
func (h opening) prepare() error {
	if err := makeDir(h.disk, h.dir); err != nil {
		return h.refuseWrite(err)
	}
	if vfs.Root(h.disk) == vfs.Default {
		// Two spellings of one directory must meet at one lock.
		dir, err := filepath.Abs(h.dir)
		if err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
		if err != nil {
			return fmt.Errorf("data directory %s: %w", h.dir, err)
		}
		h.dir = dir
	}
	names, err := h.disk.List(h.dir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", h.dir, err)
	}
	if err := h.checkOurs(names); err != nil {
		return err
	}
	if vfs.Root(h.disk) != vfs.Default {
		return nil
	}
	if warning := checkMedium(h.dir); warning != "" {
		h.warnings = append(h.warnings, warning)
		h.logger.Warn("data directory", "dir", h.dir, "warning", warning)
	}
	return h.checkMode(!slices.Contains(names, identityName))
}

// checkOurs refuses a directory that holds something, but no identity (H3).
func (h opening) checkOurs(names []string) error {
	if slices.Contains(names, identityName) {
		return nil
	}
	for _, n := range names {
		if n != lockName && n != identityName+temporarySuffix && n != "lost+found" {
			return h.refuse(ErrLost, fmt.Sprintf("it holds %q, but no %s", n, identityName),
				"if it was a node's, restore the file or keep the directory for inspection; a new node needs an empty one")
		}
	}
	return nil
}

// acquire takes the lock.
func (h opening) acquire() error {
	lock, err := h.disk.Lock(h.path(lockName))
	var made *fs.PathError
	switch {
	case err == nil:
		h.lock = lock
		return nil
	case errors.As(err, &made): // the file could not be made; it was not asked for its lock yet
		return h.refuseWrite(err)
	}
	return h.refuse(ErrLocked, fmt.Sprintf("%s is held (%v)", lockName, err),
		"stop that process, or give this node a directory of its own")
}

// enterAs reads the identity, or makes it where there is none.
func (h opening) enterAs(o *Options) error {
	names, err := h.disk.List(h.dir) // again: before the lock somebody else may have been here
	if err != nil {
		return fmt.Errorf("data directory %s: %w", h.dir, err)
	}
	if err := h.checkOurs(names); err != nil {
		return err
	}
	known := slices.Contains(names, identityName)
	if err := settleNames(h.disk, h.dir, !known); err != nil {
		return h.refuseWrite(err)
	}
	if !known {
		h.fresh = true
		h.identity = identity{cluster: o.Cluster, node: o.Node, life: cmp.Or(o.Life, newLife())}
		if err := replace(h.disk, h.dir, identityName, seal(magicIdentity, h.identity.encode())); err != nil {
			return h.refuseWrite(err)
		}
		h.spare.adopt()
		return nil
	}
	found, err := h.readIdentity()
	if err != nil {
		return err
	}
	if err := h.admit(&found, o); err != nil {
		return err
	}
	h.identity = found
	if err := h.probe(); err != nil {
		return err
	}
	h.spare.adopt()
	return nil
}

// probe finds out whether files can be made.
func (h opening) probe() error {
	path := h.path(identityName + temporarySuffix)
	f, err := h.disk.Create(path, writeCategory)
	if err == nil {
		err = errors.Join(f.Close(), h.disk.Remove(path))
	}
	if err != nil {
		return h.refuseWrite(err)
	}
	return nil
}

// Dir returns the directory, without symbolic links.
func (h *Home) Dir() string { return h.dir }

// Fresh reports whether this Open made the directory.
func (h *Home) Fresh() bool { return h.fresh }

// Warnings returns what an operator should know of the directory.
func (h *Home) Warnings() []string { return slices.Clone(h.warnings) }

// Place returns the directory NAME in the home, for another part of the node to
// keep its files in. It is made once; a place that was made and is gone, empty
// or another's is refused (H3), so that a device that is not mounted is never
// taken for a new one.
func (h *Home) Place(name string) (string, error) {
	if !topology.NodeID(name).Valid() || name == stableName || name == sideName || name == identityName || name == reserveName {
		return "", fmt.Errorf("data directory %s: place %q: not a name for one", h.dir, name)
	}
	if err := h.enter(); err != nil {
		return "", err
	}
	defer h.leave()
	at := h.path(name)
	i := h.snapshot()
	if _, made := slices.BinarySearch(i.places, name); made {
		if err := (places{h}).checkPlace(name, i.life); err != nil {
			return "", err
		}
		return at, nil
	}
	if len(i.places) == PlacesMax {
		return "", fmt.Errorf("data directory %s: place %q: there are %d already: %w", h.dir, name, PlacesMax, topology.ErrTooLarge)
	}
	if err := (places{h}).makePlace(name, i.life); err != nil {
		return "", err
	}
	return at, h.changeEntered(func(i *identity) (bool, error) {
		i.places, _ = insert(i.places, name)
		return true, nil
	})
}

// enter takes the turn to write.
func (h *Home) enter() error {
	<-h.turn
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.failed != nil:
		h.turn <- struct{}{}
		return h.failed
	case h.closed:
		h.turn <- struct{}{}
		return fmt.Errorf("data directory %s: %w", h.dir, topology.ErrClosed)
	}
	return nil
}

func (h *Home) leave() { h.turn <- struct{}{} }

// fail keeps err as the reason for which nothing more is written. A disk that
// is full before the sync is not one: the old form of what was to be written is
// whole, and it may be tried again once there is room.
func (h *Home) fail(what string, err error) error {
	if isFull(err) {
		return fmt.Errorf("data directory %s: %s: %w: %w", h.dir, what, topology.ErrDiskFull, err)
	}
	err = fmt.Errorf("data directory %s: %s: %w: %w", h.dir, what, topology.ErrFailed, err)
	h.mu.Lock()
	first := h.failed == nil
	if first {
		h.failed = err
	}
	h.mu.Unlock()
	if first {
		h.ill(err)
	}
	return err
}

// Close gives the directory back. It waits for a write that is under way.
func (h *Home) Close() error {
	<-h.turn
	defer h.leave()
	h.mu.Lock()
	was := h.closed
	h.closed = true
	h.mu.Unlock()
	if was {
		return nil
	}
	return h.lock.Close()
}

func (h *Home) path(elem ...string) string {
	return h.disk.PathJoin(append([]string{h.dir}, elem...)...)
}

func (h *Home) refuse(reason error, detail, remedy string) *Refusal {
	return &Refusal{Dir: h.dir, Err: reason, Detail: detail, Remedy: remedy}
}

// refuseWrite is the refusal of a directory in which nothing can be made.
func (h *Home) refuseWrite(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return h.refuse(ErrReadOnly, err.Error(), "give the node's user the right to write it, or remount it")
	}
	if isFull(err) {
		return fmt.Errorf("data directory %s: %w: %w", h.dir, topology.ErrDiskFull, err)
	}
	return fmt.Errorf("data directory %s: %w", h.dir, err)
}
