//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// diskBytes is the size of a node's file system. It holds many times what a node
// keeps under configRest's limits.
const diskBytes = 192 << 20

// errNotHere is the ground of an error of what this machine does not offer.
var errNotHere = errors.New("not on this machine")

// empty removes everything in a directory but what a fresh file system has.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.Name() != "lost+found" {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// disk is where a node's data directory stands: a file system of its own in a
// file, on a loop device; or, where that cannot be had, a directory among others.
type disk struct {
	mount string
	file  string // empty: it is a directory among others
	loop  string // its device, for as long as the disk lives: one that comes and goes may bring old blocks back
}

func newFolder(dir string) (*disk, error) { return &disk{mount: dir}, os.MkdirAll(dir, 0o700) }

// own reports whether the disk is a file system of its own.
func (d *disk) own() bool { return d.file != "" }

// newImage makes and mounts the file system in a folder of the run.
func newImage(ctx context.Context, under string) (*disk, error) {
	d := &disk{file: under + ".ext4", mount: under}
	if err := os.MkdirAll(d.mount, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close()); err != nil {
		return nil, err
	}
	out, err := tool(ctx, "", "losetup", "--find", "--show", d.file)
	if err != nil {
		return nil, err
	}
	d.loop = strings.TrimSpace(out)
	if err := errors.Join(d.format(ctx), d.attach(ctx)); err != nil {
		return nil, errors.Join(err, d.unloop(ctx))
	}
	return d, os.Chmod(d.mount, 0o700)
}

func (d *disk) format(ctx context.Context) error { return tools(ctx, "mkfs.ext4 -q -F -m 0 "+d.loop) }

func (d *disk) attach(ctx context.Context) error { return tools(ctx, "mount "+d.loop+" "+d.mount) }

func (d *disk) unloop(ctx context.Context) error { return tools(ctx, "losetup --detach "+d.loop) }

// dir is the data directory. It exists, and was empty at first.
func (d *disk) dir() string { return d.mount }

// wipe empties it, as a new disk would be.
func (d *disk) wipe(ctx context.Context) error {
	if !d.own() {
		return empty(d.mount)
	}
	if err := d.detach(ctx); err != nil {
		return err
	}
	if err := errors.Join(d.format(ctx), d.attach(ctx)); err != nil {
		return err
	}
	return os.Chmod(d.mount, 0o700)
}

// shutdownNoLog is EXT4_IOC_SHUTDOWN, which XFS and others know too, and its flag
// by which not even the journal is written on the way down.
const (
	shutdownRequest = 0x8004587d
	shutdownNoLog   = 2
)

// cutPower makes the file system forget everything that was not synced. What runs
// on it must be killed before restore.
func (d *disk) cutPower() error {
	if !d.own() {
		return errNotHere
	}
	f, err := os.Open(d.mount)
	if err != nil {
		return err
	}
	defer f.Close()
	flag := uint32(shutdownNoLog)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdownRequest, uintptr(unsafe.Pointer(&flag)))
	if errno != 0 {
		return fmt.Errorf("shut down %s: %w", d.mount, errno)
	}
	return nil
}

// restore makes the file system usable after cutPower.
func (d *disk) restore(ctx context.Context) error {
	return errors.Join(d.detach(ctx), d.attach(ctx))
}

// detach unmounts, and waits until nobody has the file system any more. Who was
// killed a moment ago may still be on its way out; and a command that steps into a
// network namespace, whoever runs it, has a copy of every mount for as long: to
// mount again meanwhile would bring back the file system as it was, shut down.
func (d *disk) detach(ctx context.Context) error {
	err := until(ctx, detachWait, "unmount "+d.mount, func(context.Context) (bool, error) {
		err := unix.Unmount(d.mount, 0)
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return until(ctx, detachWait, d.loop+" is nobody's", func(context.Context) (bool, error) {
		f, err := os.OpenFile(d.loop, os.O_RDWR|unix.O_EXCL, 0)
		if err != nil {
			return false, err
		}
		return true, f.Close()
	})
}

// detachWait bounds the time until a file system is nobody's.
const detachWait = 10 * time.Second

// filler is the file that takes the space; no part of a node looks at it.
func (d *disk) filler() string { return filepath.Join(d.mount, ".filler") }

// fill takes all the space that is left, in smaller and smaller steps.
func (d *disk) fill() error {
	if !d.own() {
		return errNotHere
	}
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	at := int64(0)
	for step := int64(16 << 20); step >= 4<<10; {
		err := unix.Fallocate(int(f.Fd()), 0, at, step)
		switch {
		case err == nil:
			at += step
		case errors.Is(err, syscall.ENOSPC):
			step /= 2
		default:
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// release gives the space back.
func (d *disk) release() error { return os.Remove(d.filler()) }

func (d *disk) close(ctx context.Context) error {
	if !d.own() {
		return nil
	}
	err := d.detach(ctx)
	if err != nil {
		err = errors.Join(err, unix.Unmount(d.mount, unix.MNT_DETACH))
	}
	return errors.Join(err, d.unloop(ctx))
}

// sweepImages unmounts what runs that were killed have left mounted, and detaches
// its devices.
func sweepImages(ctx context.Context) error {
	b, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err
	}
	left := func(path string) bool { return len(leftover(strings.Split(path, "/"))) > 0 }
	var errs []error
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && left(words[1]) {
			errs = append(errs, unix.Unmount(words[1], unix.MNT_DETACH))
		}
	}
	if len(missing("losetup")) > 0 {
		return errors.Join(errs...)
	}
	out, err := tool(ctx, "", "losetup", "--noheadings", "--output", "NAME,BACK-FILE")
	errs = append(errs, err)
	for line := range strings.Lines(out) {
		if words := strings.Fields(line); len(words) > 1 && left(words[1]) {
			errs = append(errs, tools(ctx, "losetup --detach "+words[0]))
		}
	}
	return errors.Join(errs...)
}
