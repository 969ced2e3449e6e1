package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
)

func newServer(files config.Reader) *cobra.Command {
	c := &cobra.Command{
		Use:   "server -c FILE",
		Short: "Run a node from a configuration file until SIGTERM",
		Long: `Run a node from a configuration file. Every key of the file that holds one value is
a flag and a variable too: listen.peers is --listen-peers and TRIAD_LISTEN_PEERS.

SIGTERM or Ctrl-C ends the node in order, within ten seconds; a second one at once. A
leader hands over first, within limits.handover_wait, where nodes elect their leader.
SIGHUP reads the file and the certificates again: what can change while the node runs
is taken, the rest is named; what is refused changes nothing.`,
		Example: "  triad server -c examples/nodes/a.yaml\n  triad server --node-dir data/a --listen-peers 127.0.0.1:7400",
		Args:    exactly(),
	}
	s := settingFlags(c, files)
	offset := c.Flags().Duration(clockOffset, 0, "how wrong this node's clock is, on purpose")
	if err := c.Flags().MarkHidden(clockOffset); err != nil {
		panic(err) // it was added a line above
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		n, idle, err := s.node(cmd)
		if err != nil {
			return err
		}
		v := newService(n, cmd.ErrOrStderr())
		v.offset = *offset
		v.reread = func() (*config.Node, error) {
			n, _, err := s.node(cmd)
			return n, err
		}
		for _, name := range idle {
			v.log.Warn("no key has the name of this variable, which changes nothing", "variable", name)
		}
		return v.run(cmd.Context(), hup)
	}
	return c
}

// clockOffset is the flag that makes a node's clock wrong, for tests: the clock of
// a process alone can not be set.
const clockOffset = "debug-clock-offset"

// live are the keys that a running node takes from a file that is read again.
var live = map[string]func(*service, *config.Node){
	"log.level": func(v *service, n *config.Node) { v.setLevel(n.Log.Level) },
}

// watch reads the file again whenever hup says so, until ctx ends.
func (v *service) watch(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			v.reload()
		}
	}
}

// reload takes from the file what can change while the node runs.
func (v *service) reload() {
	n, err := v.reread()
	if err != nil {
		v.log.Error("the configuration was read again and is refused; the node goes on with the old one", "faults", faultsOf(err))
		return
	}
	var taken, later []string
	for _, key := range config.Changed(v.config, n) {
		if take, ok := live[key]; ok {
			take(v, n)
			taken = append(taken, key)
		} else {
			later = append(later, key)
		}
	}
	if c := v.node.TLS(); c != nil {
		if err := c.Reload(); err != nil {
			v.log.Error("the certificates were read again and are refused; the old ones stay in force", "err", err)
		}
	}
	level := slog.LevelInfo
	if len(later) > 0 {
		level = slog.LevelWarn
	}
	v.log.Log(context.Background(), level, "the configuration was read again", "taken", taken, "at_the_next_start", later)
	v.config.Log.Level = n.Log.Level
}

// faultsOf is an error of a configuration, a text a fault.
func faultsOf(err error) []string {
	var r *strict.Refused
	if !errors.As(err, &r) {
		return []string{err.Error()}
	}
	var texts []string
	for _, f := range r.Findings {
		texts = append(texts, f.Error())
	}
	return texts
}
