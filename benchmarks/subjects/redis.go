package subjects

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// Redis is Redis itself, as a distribution packages it: a primary and two
// replicas, all of them with their append-only file flushed before they answer,
// a connection to the primary a client. A write is SET and WAIT 1 0, sent
// together; a read is GET at the primary, which makes sure of nothing.
type Redis struct{}

// redisProgram is looked for on PATH.
const redisProgram = "redis-server"

// ErrNoRedis is the ground when there is no Redis on this machine.
var ErrNoRedis = errors.New(redisProgram + " is not on PATH: install it (Debian: apt-get install redis-server), or leave redis out of -subjects")

// Installed returns ErrNoRedis if this machine has none.
func (Redis) Installed() error {
	if _, err := exec.LookPath(redisProgram); err != nil {
		return ErrNoRedis
	}
	return nil
}

// Name implements [compare.Subject].
func (Redis) Name() string { return "redis" }

// Promise implements [compare.Promiser].
func (Redis) Promise() string {
	return "flushed on the primary, and on one of two replicas (WAIT 1); a failover may still lose it, and reads at the primary make sure of nothing"
}

// Run implements [compare.Subject].
func (r Redis) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	if err := r.Installed(); err != nil {
		return err
	}
	addrs, err := compare.FreeAddrs(nodesHere)
	if err != nil {
		return err
	}
	if err := spawn.Replicated(dir, addrs); err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	err = repeated(first, func() error {
		c, err := newRespClient(first, addrs[0])
		if err != nil {
			return err
		}
		defer func() { _ = c.conn.Close() }()
		replication, err := c.ask("$", "INFO", []byte("replication"))
		if err == nil && strings.Count(string(replication), "state=online") != nodesHere-1 {
			err = errors.New("its replicas are not connected yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	ready(func() (compare.Client, error) {
		c, err := newRespClient(ctx, addrs[0])
		if err != nil {
			return compare.Client{}, err
		}
		return compare.Client{Put: c.setWait, Get: c.get}, nil
	})
	<-ctx.Done()
	return nil
}

var (
	waitReplicas = []byte("1")
	waitForever  = []byte("0")
)

// setWait is a write that is answered once one replica has it.
func (c *respClient) setWait(key, value []byte) error {
	c.add("SET", key, value)
	c.add("WAIT", waitReplicas, waitForever)
	if err := c.send(); err != nil {
		return err
	}
	if _, err := c.next("+"); err != nil {
		return err
	}
	n, err := c.next(":")
	if err == nil && n[1] == '0' {
		err = fmt.Errorf("%w: no replica has it", errAnswer)
	}
	return err
}

// Child implements [compare.Subject]: it keeps a Redis as long as it lives itself.
func (Redis) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("a Redis needs its address, a directory and perhaps its primary's address, not %q", args)
	}
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(args[1], 0o700); err != nil {
		return err
	}
	flags := []string{
		"--bind", host, "--port", port, "--dir", args[1], "--daemonize", "no", "--logfile", "redis.log",
		"--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0",
		"--repl-diskless-sync-delay", "0",
	}
	if len(args) == 3 {
		primary, port, err := net.SplitHostPort(args[2])
		if err != nil {
			return err
		}
		flags = append(flags, "--replicaof", primary+" "+port)
	}
	cmd := exec.CommandContext(ctx, redisProgram, flags...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = upTimeout
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	up(args[0])
	if err := cmd.Wait(); ctx.Err() == nil {
		return fmt.Errorf("redis ended: %w", err)
	}
	return nil
}
