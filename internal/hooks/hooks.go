// Package hooks runs the commands that a configuration names: when a node begins or
// ceases to lead, and to fence an old leader.
//
// It promises that a command is given its time and no more, that what it printed and
// how it ended is in the log, and that nothing but [Commands.Fence] depends on it. A
// command is a program and its arguments; no shell reads it. Its environment is the
// node's, and:
//
//	TRIAD_CLUSTER, TRIAD_NODE   whose node it is
//	TRIAD_ROLE                  leader or follower: what the node has become
//	TRIAD_TERM                  the term that it leads, or led
//	TRIAD_LEADER                who leads now, as far as it knows
//
// A command that fences is told of the old leader instead of a role:
//
//	TRIAD_OLD_LEADER, TRIAD_OLD_ADDR, TRIAD_TERM
package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Commands are what is run. One without elements is none.
type Commands struct {
	Promoted []string
	Demoted  []string
	Fence    []string
	Timeout  time.Duration // of each; positive
	Cluster  string
	Logger   *slog.Logger
}

// What is kept of a command's output, and how long its children may hold it open after
// its end.
const (
	outputBytesMax = 4 << 10
	pipeWait       = time.Second
)

// Role runs the command for a change of role, and waits for it. A failure is logged.
func (c *Commands) Role(ctx context.Context, r topology.RoleChange) {
	argv := c.Demoted
	if r.Role == topology.RoleLeader {
		argv = c.Promoted
	}
	if len(argv) > 0 {
		_ = c.run(ctx, argv, string(r.Node), map[string]string{ // it was logged, and nothing depends on it
			"TRIAD_ROLE": string(r.Role), "TRIAD_TERM": fmt.Sprint(r.Term), "TRIAD_LEADER": string(r.Leader),
		})
	}
}

// FenceOld runs the command that fences an old leader. An error means that nothing is
// known of what it did.
func (c *Commands) FenceOld(ctx context.Context, f topology.Fencing) error {
	return c.run(ctx, c.Fence, string(f.Node), map[string]string{
		"TRIAD_TERM": fmt.Sprint(f.Term), "TRIAD_OLD_LEADER": string(f.Old), "TRIAD_OLD_ADDR": f.Addr,
	})
}

func (c *Commands) run(ctx context.Context, argv []string, node string, vars map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, pipeWait
	cmd.Env = append(os.Environ(), "TRIAD_CLUSTER="+c.Cluster, "TRIAD_NODE="+node)
	for name, v := range vars {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	began := time.Now()
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended well, and left a child that holds its output
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("it was ended after %v: %w", c.Timeout, topology.ErrTimeout)
	}
	log := c.Logger.With("command", argv[0], "role", vars["TRIAD_ROLE"], "old_leader", vars["TRIAD_OLD_LEADER"], "term", vars["TRIAD_TERM"],
		"took", time.Since(began).Round(time.Millisecond), "output", out.String())
	if err != nil {
		log.Error("a hook failed", "error", err)
		return fmt.Errorf("%s: %w", argv[0], err)
	}
	log.Info("a hook ran")
	return nil
}

// tail keeps the end of what is written to it.
type tail struct{ kept bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	t.kept.Write(b)
	if over := t.kept.Len() - outputBytesMax; over > 0 {
		t.kept.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	return strings.ToValidUTF8(strings.TrimSpace(t.kept.String()), "�")
}
