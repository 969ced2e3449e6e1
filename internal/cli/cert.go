package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	certificates "github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/topology"
)

// What the files of `triad cert` are called.
const (
	caName     = "ca"
	certExt    = ".pem"
	keyExt     = ".key"
	day        = 24 * time.Hour
	caDays     = 3650
	issuedDays = 397
)

func newCert() *cobra.Command {
	c := parent("cert", "Make certificates for a small cluster", newCertCA(), newCertNode(), newCertClient())
	c.Long = `Make certificates for a small cluster, for tests and for trying things out: the
authority's key is a file. Keys are P-256, and files are readable by their owner alone.

A node's certificate names it as triad://CLUSTER/node/ID, a client's as
triad://CLUSTER/client/NAME; no other name in it counts.`
	c.Example = `  triad cert ca --cluster shop --dir certs
  triad cert node a --cluster shop --dir certs --host 10.0.0.1
  triad cert client shop-api --cluster shop --dir certs`
	return c
}

// issue is what the commands of cert have in common.
type issue struct {
	cluster string
	dir     string
	days    int
	hosts   []string
}

func issueFlags(c *cobra.Command, days int) *issue {
	i := &issue{}
	c.Flags().StringVar(&i.cluster, "cluster", "triad", "name of the cluster")
	c.Flags().StringVar(&i.dir, "dir", ".", "where the authority is, and the files go; it is made if it is not there")
	c.Flags().IntVar(&i.days, "days", days, "for how many days it holds; not longer than its authority")
	return i
}

func (i *issue) check() error {
	switch {
	case !topology.NodeID(i.cluster).Valid():
		return usagef("--cluster: %q is not a name ([a-z][a-z0-9-]{0,62})", i.cluster)
	case i.days < 1 || i.days > 100*365:
		return usagef("--days: %d is none of 1 to %d", i.days, 100*365)
	}
	return nil
}

func (i *issue) validity() certificates.Validity {
	return certificates.For(time.Duration(i.days) * day)
}

func newCertCA() *cobra.Command {
	c := &cobra.Command{Use: "ca", Short: "Make the authority that signs the others", Args: exactly()}
	i := issueFlags(c, caDays)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := i.check(); err != nil {
			return err
		}
		_, pair, err := certificates.NewAuthority(i.cluster, i.validity())
		if err != nil {
			return err
		}
		return i.write(cmd, caName, pair)
	}
	return c
}

func newCertNode() *cobra.Command {
	c := &cobra.Command{Use: "node ID", Short: "Make the certificate of a node", Args: exactly("ID")}
	i := issueFlags(c, issuedDays)
	c.Flags().StringSliceVar(&i.hosts, "host", []string{"localhost", "127.0.0.1", "::1"}, "names and addresses at which Redis clients reach it")
	c.RunE = func(cmd *cobra.Command, args []string) error { return i.issue(cmd, topology.PeerNode, args[0]) }
	return c
}

func newCertClient() *cobra.Command {
	c := &cobra.Command{Use: "client NAME", Short: "Make the certificate of a client", Args: exactly("NAME")}
	i := issueFlags(c, issuedDays)
	c.RunE = func(cmd *cobra.Command, args []string) error { return i.issue(cmd, topology.PeerClient, args[0]) }
	return c
}

// issue makes a certificate, signed by the authority in the folder.
func (i *issue) issue(cmd *cobra.Command, role topology.PeerRole, id string) error {
	if err := i.check(); err != nil {
		return err
	}
	if !topology.NodeID(id).Valid() || id == caName {
		return usagef("%q is not a name ([a-z][a-z0-9-]{0,62}, and not %s)", id, caName)
	}
	var ca certificates.Pair
	var err error
	if ca.Cert, err = os.ReadFile(i.path(caName + certExt)); err == nil {
		ca.Key, err = os.ReadFile(i.path(caName + keyExt))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("there is no authority in %s: `triad cert ca --dir %s` makes one (%w)", i.dir, i.dir, err)
	}
	if err != nil {
		return err
	}
	a, err := certificates.ReadAuthority(ca)
	if err != nil {
		return fmt.Errorf("the authority in %s: %w", i.dir, err)
	}
	pair, err := a.Issue(certificates.Name{Cluster: i.cluster, Role: role, ID: topology.NodeID(id)}, i.hosts, i.validity())
	if err != nil {
		return err
	}
	return i.write(cmd, id, pair)
}

func (i *issue) path(name string) string { return filepath.Join(i.dir, name) }

// write writes a pair. It replaces nothing: a key that is overwritten is lost.
func (i *issue) write(cmd *cobra.Command, name string, p certificates.Pair) error {
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		text []byte
	}{{i.path(name + keyExt), p.Key}, {i.path(name + certExt), p.Cert}} {
		if err := create(f.path, f.text); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return usagef("%s is there already, and is not replaced; move it away to make another", f.path)
			}
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), f.path)
	}
	return nil
}

func create(path string, text []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
