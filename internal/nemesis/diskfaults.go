//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// failWait bounds the time until a node has noticed what its disk told it.
const failWait = 15 * time.Second

// tracer is a strace that meddles with the syncs of a node.
type tracer struct {
	cmd *exec.Cmd
}

// trace attaches to a node. inject is what happens to each sync, in strace's words.
func (c *cluster) trace(ctx context.Context, n *node, inject string) (*tracer, error) {
	pid := n.process().cmd.Process.Pid
	const syncs = "fsync,fdatasync"
	t := &tracer{cmd: exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace="+syncs, "-e", "inject="+syncs+":"+inject, "-p", strconv.Itoa(pid))}
	if err := c.spawn.start(t.cmd, ""); err != nil {
		return nil, err
	}
	err := until(ctx, failWait, "strace is attached to every thread", func(context.Context) (bool, error) {
		if over, _ := n.ended(); over {
			return true, nil // what was injected has worked already
		}
		return traced(pid)
	})
	if err != nil {
		return nil, errors.Join(err, t.detach())
	}
	return t, nil
}

// traced reports whether every thread of a process has a tracer.
func traced(pid int) (bool, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, t := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, t.Name()))
		if err != nil || strings.Contains(string(b), "TracerPid:\t0\n") {
			return false, nil
		}
	}
	return true, nil
}

// detach lets go of the node, which runs on.
func (t *tracer) detach() error {
	if err := t.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = t.cmd.Wait() // how strace ends says nothing
	return nil
}

// slowDisk makes every sync of a node take a good part of a second.
func slowDisk(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	delay := 100 + s.roll>>32%400
	t, err := r.trace(ctx, n, fmt.Sprintf("delay_enter=%dms", delay))
	if err != nil {
		return err
	}
	return after(ctx, s, func(context.Context) error { return t.detach() })
}

// fsyncError fails a node's syncs: it must fail, not try again, and not end as if
// nothing had been (PW4).
func fsyncError(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	t, err := r.trace(ctx, n, "error=EIO:when=1")
	if err != nil {
		return err
	}
	p := n.process()
	err = p.wait(failWait)
	if err := errors.Join(err, t.detach()); err != nil {
		return errors.Join(errBroken, fmt.Errorf("node %s works on after a sync that failed: %w", n.id, err))
	}
	if p.err == nil {
		return fmt.Errorf("%w: node %s ended with 0 after a sync that failed", errBroken, n.id)
	}
	n.forget()
	return after(ctx, s, func(context.Context) error { return n.start() })
}

// biteWait bounds the time until a node has noticed that its disk is full: it
// needs a new file for that.
const biteWait = 10 * time.Second

// fullDisk takes the space of a node's disk away and gives it back. Log and store
// wait, and the node goes on by itself then; one that had to keep a promise in a
// document and could not ends, says why, and can be started again.
func fullDisk(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	d, before := r.disks[n.id], n.said()
	if err := d.fill(); err != nil {
		return err
	}
	err = until(ctx, biteWait, "a full disk is noticed", func(context.Context) (bool, error) {
		over, _ := n.ended()
		return over || strings.Contains(n.said()[len(before):], "the disk is full"), nil
	})
	if err != nil {
		r.tell("    %v", err)
	}
	if err := after(ctx, s, func(context.Context) error { return d.release() }); err != nil {
		return err
	}
	if n.well(ctx) {
		return nil
	}
	if err := n.process().wait(failWait); err != nil {
		return fmt.Errorf("%w: node %s has failed by a full disk: %w", errBroken, n.id, err)
	}
	if words := n.lastWords(); !strings.Contains(words, "no space left on device") || strings.Contains(words, "store failed") {
		return fmt.Errorf("%w: a full disk ended node %s, which does not say so: %s", errBroken, n.id, n.lastWords())
	}
	r.report.struck("full-disk, and the node ended")
	n.forget()
	return n.start()
}

func powerCut(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	if err := r.cutPower(ctx, n); err != nil {
		return err
	}
	return after(ctx, s, func(context.Context) error { return n.start() })
}

// powerCutAll cuts the power of all at once.
func powerCutAll(ctx context.Context, r *run, s strike) error {
	for _, n := range r.nodes {
		if err := r.disks[n.id].cutPower(); err != nil {
			return err
		}
	}
	for _, n := range r.nodes {
		if err := errors.Join(n.kill(), r.disks[n.id].restore(ctx)); err != nil {
			return err
		}
	}
	return after(ctx, s, func(context.Context) error { return r.startAll(s.roll) })
}

func (c *cluster) cutPower(ctx context.Context, n *node) error {
	d := c.disks[n.id]
	return errors.Join(d.cutPower(), n.kill(), d.restore(ctx))
}
