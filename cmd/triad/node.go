package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/demo"
)

// newNode is how the demo runs a node as a process of its own.
func newNode() *cobra.Command {
	c := &cobra.Command{
		Use:    "node",
		Short:  "Run one node of a demo until SIGTERM",
		Hidden: true,
		Args:   exactly(),
	}
	var s demo.Spec
	c.Flags().StringVar((*string)(&s.ID), "id", "", "name of the node")
	c.Flags().StringVar(&s.Cluster, "cluster", "triad", "name of the cluster")
	c.Flags().StringVar(&s.Dir, "dir", "", "data directory")
	c.Flags().StringVar(&s.Listen, "listen", "", "address of the peers port; default that of its member")
	c.Flags().StringVar((*string)(&s.Leader), "leader", "", "who leads the first term")
	c.Flags().StringVar(&s.Sync, "sync", "async", `whom a commit waits for, as in "first 1 (b, c)"`)
	c.Flags().DurationVar(&s.ApplyDelay, "apply-delay", 0, "how long to hold back what is committed")
	members := c.Flags().StringArray("member", nil, "a node as id=host:port, this one included; once for each")
	tables := c.Flags().StringArray("table", nil, "a table as name:kind; once for each")
	inherit := c.Flags().Bool("inherit", false, "the peers port is file descriptor 3, and the end of standard input ends the node")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := parse(&s, *members, *tables); err != nil {
			return &usageError{err}
		}
		return runNode(cmd.Context(), s, *inherit, cmd.InOrStdin(), cmd.ErrOrStderr())
	}
	return c
}

func parse(s *demo.Spec, members, tables []string) error {
	for _, text := range members {
		m, err := demo.ParseMember(text)
		if err != nil {
			return fmt.Errorf("--member: %w", err)
		}
		s.Members = append(s.Members, m)
	}
	for _, text := range tables {
		t, err := demo.ParseTable(text)
		if err != nil {
			return fmt.Errorf("--table: %w", err)
		}
		s.Tables = append(s.Tables, t)
	}
	if !s.ID.Valid() {
		return fmt.Errorf("--id: %q is not a node's name", s.ID)
	}
	if s.Dir == "" {
		return errors.New("--dir: none was given")
	}
	if s.Leader == "" {
		s.Leader = s.ID
	}
	return nil
}

// runNode opens a node and runs it until ctx ends. Its log goes to logs.
func runNode(ctx context.Context, s demo.Spec, inherit bool, in io.Reader, logs io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(logs, nil)).With("node", string(s.ID))
	var l net.Listener
	if inherit {
		if l, err = inherited(); err != nil {
			return err
		}
		var end context.CancelFunc
		ctx, end = context.WithCancel(ctx)
		defer end()
		// The reader is left behind where the node ends first: nothing can
		// interrupt it, and the process ends with it.
		go func() {
			_, _ = io.Copy(io.Discard, in) // however it ends, whoever held the other side is gone
			end()
		}()
	}
	c, err := s.Config(l, logger)
	if err != nil {
		return &usageError{err}
	}
	n, err := triad.Open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if a := n.Addr(); a != nil {
		logger.Info("open", "addr", a.String(), "dir", s.Dir)
	}
	return n.Run(ctx)
}

// inherited is the listener that the process was started with.
func inherited() (net.Listener, error) {
	f := os.NewFile(demo.InheritedFD, "listener")
	if f == nil {
		return nil, usagef("--inherit: file descriptor %d is not open", demo.InheritedFD)
	}
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, usagef("--inherit: file descriptor %d is no listener: %w", demo.InheritedFD, err)
	}
	return l, nil
}
