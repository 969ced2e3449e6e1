package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/demo"
)

// newNode is how the demo runs a node as a process of its own.
func newNode(controls []config.ControlKind) *cobra.Command {
	c := &cobra.Command{
		Use:    "node",
		Short:  "Run one node of a demo until SIGTERM",
		Hidden: true,
		Args:   exactly(),
	}
	s := demo.Spec{Controls: controls}
	c.Flags().StringVar((*string)(&s.ID), "id", "", "name of the node")
	c.Flags().StringVar(&s.File, "file", "", "file of the cluster")
	c.Flags().StringVar(&s.Cluster, "cluster", "triad", "name of the cluster")
	c.Flags().StringVar(&s.Dir, "dir", "", "data directory")
	c.Flags().DurationVar(&s.ApplyDelay, "apply-delay", 0, "how long to hold back what is committed")
	members := c.Flags().StringArray("member", nil, "a node as id=host:port, this one included; once for each")
	links := c.Flags().StringArray("link", nil, "a node that is far away, as id=delay/delay, there and back; once for each")
	inherit := c.Flags().Bool("inherit", false, "the peers port is file descriptor 3; standard input takes orders, and its end ends the node")
	inheritRESP := c.Flags().Bool("inherit-resp", false, "the port for Redis clients is file descriptor 4")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := parse(&s, *members, *links); err != nil {
			return &usageError{err}
		}
		start := demo.Start{Spec: s, RESP: demoRESP, Logger: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)).With("node", string(s.ID))}
		if !*inherit {
			return usagef("--inherit: a node of a demo has its listener from the demo; `triad server` runs one by itself")
		}
		var err error
		if start.Peers, err = inherited("--inherit", demo.InheritedFD); err != nil {
			return err
		}
		if *inheritRESP {
			if start.Clients, err = inherited("--inherit-resp", demo.InheritedRESPFD); err != nil {
				return errors.Join(err, start.Peers.Close())
			}
		}
		return runNode(cmd.Context(), start, cmd.InOrStdin(), cmd.OutOrStdout())
	}
	return c
}

func parse(s *demo.Spec, members, links []string) error {
	for _, text := range members {
		m, err := demo.ParseMember(text)
		if err != nil {
			return fmt.Errorf("--member: %w", err)
		}
		s.Members = append(s.Members, m)
	}
	for _, text := range links {
		w, err := demo.ParseWire(text)
		if err != nil {
			return fmt.Errorf("--link: %w", err)
		}
		s.Links = append(s.Links, w)
	}
	if !s.ID.Valid() {
		return fmt.Errorf("--id: %q is not a node's name", s.ID)
	}
	if s.Dir == "" {
		return errors.New("--dir: none was given")
	}
	return nil
}

// runNode opens a node and runs it until ctx or the standard input ends.
func runNode(ctx context.Context, s demo.Start, in io.Reader, out io.Writer) error {
	a, err := s.Open()
	if err != nil {
		return err
	}
	s.Logger.Info("open", "addr", a.Addr().String(), "dir", s.Dir)
	ctx, end := context.WithCancel(ctx)
	defer end()
	// The reader is left behind where the node ends first: nothing can interrupt
	// it, and the process ends with it.
	go func() {
		obey(a, in, out)
		end() // whoever held the other side is gone
	}()
	return a.Run(ctx)
}

// obey carries out the orders of a demo until there are no more, and answers each.
func obey(a *demo.Alive, in io.Reader, out io.Writer) {
	for orders := bufio.NewScanner(in); orders.Scan(); {
		answer := demo.AnswerDone
		if err := a.Obey(orders.Text()); err != nil {
			answer = explain(err)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return
		}
	}
}

// inherited is a listener that the process was started with.
func inherited(flag string, fd uintptr) (net.Listener, error) {
	f := os.NewFile(fd, "listener")
	if f == nil {
		return nil, usagef("%s: file descriptor %d is not open", flag, fd)
	}
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, usagef("%s: file descriptor %d is no listener: %w", flag, fd, err)
	}
	return l, nil
}
