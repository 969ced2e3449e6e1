package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// postgres is PostgreSQL as a distribution packages it: a primary and two standbys that
// stream from it, a connection to the primary a client, a prepared statement for each
// thing. With sync, commits wait for one of the two: synchronous_standby_names 'ANY 1 (*)'.
type postgres struct{ sync bool }

// Name implements compare.Subject.
func (p postgres) Name() string {
	if p.sync {
		return "postgres-sync"
	}
	return "postgres-async"
}

// Promise implements compare.Promiser.
func (p postgres) Promise() string {
	if p.sync {
		return "flushed on the primary and on one of two standbys (ANY 1); reads are of the primary, and nobody fails over by itself"
	}
	return "flushed on the primary alone; a standby that takes over may lack the newest"
}

// errNoPostgres is the ground when there is no PostgreSQL on this machine.
var errNoPostgres = errors.New("PostgreSQL is not on PATH nor below /usr/lib/postgresql: install it (Debian: apt-get install postgresql), or leave it out of -subjects")

// program finds one of PostgreSQL's own.
func program(name string) (string, error) {
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err == nil && len(all) > 0 {
		return slices.Max(all), nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", errNoPostgres
}

// Installed implements compare.Installer.
func (postgres) Installed() error {
	for _, name := range []string{"initdb", "postgres", "pg_basebackup"} {
		if _, err := program(name); err != nil {
			return err
		}
	}
	_, err := underling()
	return err
}

// superuser is what initdb calls the one role that there is.
const superuser = "bench"

// underling is as whom its programs run: they refuse to be root's. Nil: as this one.
func underling() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("this is root, as whom PostgreSQL does not run, and %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// command is one of its programs.
func command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	path, err := program(name)
	if err != nil {
		return nil, err
	}
	as, err := underling()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, path, args...)
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	return c, nil
}

// tool runs one of its programs to its end.
func tool(ctx context.Context, name string, args ...string) error {
	c, err := command(ctx, name, args...)
	if err != nil {
		return err
	}
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Run implements compare.Subject.
func (p postgres) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	if err := p.Installed(); err != nil {
		return err
	}
	addrs, err := compare.FreeAddrs(nodes)
	if err != nil {
		return err
	}
	if err := spawn.Replicated(dir, addrs); err != nil {
		return err
	}
	first, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	if err := p.begin(first, addrs[0]); err != nil {
		return fmt.Errorf("a primary and two standbys did not come up: %w", err)
	}
	ready(func() (compare.Client, error) {
		c, err := pgx.Connect(ctx, dsn(addrs[0]))
		if err != nil {
			return compare.Client{}, err
		}
		return compare.Client{
			Put: func(key, value []byte) error {
				_, err := c.Exec(ctx, "insert into kv values ($1, $2) on conflict (k) do update set v = excluded.v", key, value)
				return err
			},
			Get: func(key []byte) error {
				var v []byte
				return c.QueryRow(ctx, "select v from kv where k = $1", key).Scan(&v)
			},
		}, nil
	})
	<-ctx.Done()
	return nil
}

func dsn(addr string) string {
	return fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", superuser, addr)
}

// begin makes the table once both standbys stream, and has commits wait as is promised.
func (p postgres) begin(ctx context.Context, addr string) error {
	return compare.Repeat(ctx, 100*time.Millisecond, func() error { return p.tables(ctx, addr) })
}

func (p postgres) tables(ctx context.Context, addr string) error {
	c, err := pgx.Connect(ctx, dsn(addr))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	var standbys int
	if err := c.QueryRow(ctx, "select count(*) from pg_stat_replication where state = 'streaming'").Scan(&standbys); err != nil {
		return err
	}
	if standbys != nodes-1 {
		return fmt.Errorf("%d standbys stream", standbys)
	}
	todo := []string{"create table if not exists kv (k bytea primary key, v bytea not null)"}
	if p.sync {
		todo = append(todo, "alter system set synchronous_standby_names = 'ANY 1 (*)'", "select pg_reload_conf()")
	}
	for _, q := range todo {
		if _, err := c.Exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// Child implements compare.Subject: it keeps a server as long as it lives itself.
func (postgres) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("a server needs its address, a directory and perhaps its primary's address, not %q", args)
	}
	host, port, err := net.SplitHostPort(args[0])
	if err != nil {
		return err
	}
	dir, err := home(args[1])
	if err != nil {
		return err
	}
	if len(args) == 3 {
		err = copied(ctx, args[2], dir)
	} else {
		err = tool(ctx, "initdb", "-D", dir, "-U", superuser, "--auth", "trust", "--no-sync")
	}
	if err != nil {
		return err
	}
	c, err := command(ctx, "postgres", "-D", dir, "-h", host, "-p", port, "-c", "unix_socket_directories=",
		"-c", "max_connections=300", "-c", "wal_level=replica", "-c", "hot_standby=on", "-c", "logging_collector=off", "-c", "log_min_messages=fatal")
	if err != nil {
		return err
	}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) } // its fast way to end
	c.WaitDelay = upTimeout
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	up(args[0])
	if err := c.Wait(); ctx.Err() == nil {
		return fmt.Errorf("postgres ended: %w", err)
	}
	return nil
}

// home makes the directory of a server, open to as whom it runs. Of the folders above it
// those of this run are opened too; others are left as they are, and initdb says so.
func home(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	as, err := underling()
	if err != nil || as == nil {
		return dir, err
	}
	if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
		return "", err
	}
	subject := filepath.Dir(dir)
	if err := os.Chmod(subject, 0o711); err != nil {
		return "", err
	}
	if run := filepath.Dir(subject); strings.HasPrefix(filepath.Base(run), "triad-bench-") {
		return dir, os.Chmod(run, 0o711)
	}
	return dir, nil
}

// copied fills a directory with a copy of the primary's, as a standby of it, once that
// answers.
func copied(ctx context.Context, primary, dir string) error {
	host, port, err := net.SplitHostPort(primary)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	return compare.Repeat(ctx, 200*time.Millisecond, func() error {
		return tool(ctx, "pg_basebackup", "-D", dir, "-h", host, "-p", port, "-U", superuser, "-R", "-X", "stream", "-c", "fast", "--no-sync")
	})
}
