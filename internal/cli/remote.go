package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo"
)

// endpointsDefault are the addresses that `triad demo` takes if they are free.
func endpointsDefault() []string {
	var all []string
	for i := range 4 {
		all = append(all, net.JoinHostPort("127.0.0.1", strconv.Itoa(demo.PortFirst+i)))
	}
	return all
}

const (
	timeoutDefault = 10 * time.Second
	attemptsLeast  = 4
)

// remote is what every command needs that speaks to a cluster.
type remote struct {
	endpoints []string
	cluster   string
	timeout   time.Duration
	form      *oneOf
	tls       client.TLS
	attempts  int // to reach a node that cannot be; 0 is twice as many as there are endpoints
}

// remoteFlags adds the flags of a command that speaks to a cluster.
func remoteFlags(c *cobra.Command) *remote {
	r := &remote{form: outputFlag(c)}
	c.Flags().StringSliceVarP(&r.endpoints, "endpoints", "e", endpointsDefault(), "addresses of nodes; one that answers is enough")
	c.Flags().StringVar(&r.cluster, "cluster", "triad", "name of the cluster")
	c.Flags().StringVar(&r.tls.CA, "ca", "", "with --cert and --key: a file with the authorities that nodes are known by; then TLS is spoken")
	c.Flags().StringVar(&r.tls.Cert, "cert", "", "a file with this client's certificate")
	c.Flags().StringVar(&r.tls.Key, "key", "", "a file with its key")
	c.Flags().DurationVar(&r.timeout, "timeout", timeoutDefault, "how long to wait, in all")
	return r
}

func (r *remote) check() error {
	for _, e := range r.endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil {
			return usagef("--endpoints: %q is not host:port", e)
		}
	}
	switch {
	case len(r.endpoints) == 0:
		return usagef("--endpoints: none was given")
	case len(r.endpoints) > client.AddressesMax:
		return usagef("--endpoints: %d are more than %d", len(r.endpoints), client.AddressesMax)
	case r.timeout <= 0:
		return usagef("--timeout: %v is no time", r.timeout)
	case r.cluster == "":
		return usagef("--cluster: the name is empty")
	case r.tls.Given() && (r.tls.CA == "" || r.tls.Cert == "" || r.tls.Key == ""):
		return usagef("--ca, --cert, --key: they go together")
	}
	return nil
}

// with calls f with a client and a context that ends after the timeout. What f
// returns is made an error that says what to do.
func (r *remote) with(cmd *cobra.Command, f func(context.Context, *client.Client) error) error {
	if err := r.check(); err != nil {
		return err
	}
	attempts := r.attempts
	if attempts == 0 {
		attempts = max(attemptsLeast, 2*len(r.endpoints))
	}
	c, err := client.Dial(r.endpoints, client.Options{Cluster: r.cluster, AttemptsMax: attempts, TLS: r.tls})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), r.timeout, fmt.Errorf("no answer within %v", r.timeout))
	defer cancel()
	err = errors.Join(f(ctx, c), c.Close())
	return advise(err)
}

// show prints a result in the form that was asked for.
func (r *remote) show(cmd *cobra.Command, v result) error {
	return v.write(cmd.OutOrStdout(), r.form.value)
}

// completeTables offers the names of tables, and what they hold, to the shell.
func (r *remote) completeTables(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	// The shell's own command runs none of the steps before this one.
	if len(args) > 0 || fromEnvironment(cmd.Flags(), os.LookupEnv) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	r.timeout = time.Second // nobody waits longer for a completion
	_ = r.with(cmd, func(ctx context.Context, c *client.Client) error {
		tables, err := c.Tables(ctx)
		for _, t := range tables {
			names = append(names, t.Name+"\t"+kindName(t))
		}
		return err
	}) // a shell has no use for the error
	return names, cobra.ShellCompDirectiveNoFileComp
}

// list joins words for a person.
func list[S ~string](words []S) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(w))
	}
	return b.String()
}
