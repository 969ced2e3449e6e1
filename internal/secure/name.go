package secure

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"

	"github.com/triad-kv/triad/topology"
)

const scheme = "triad"

// roleWords are how a role stands in a name.
var roleWords = map[topology.PeerRole]string{topology.PeerNode: "node", topology.PeerClient: "client"}

// Name is whom a certificate is for.
type Name struct {
	Cluster string
	Role    topology.PeerRole // exactly one
	ID      topology.NodeID   // of a node, or a client's name
}

// String returns the name as it stands in a certificate: triad://CLUSTER/node/ID.
func (n Name) String() string {
	return fmt.Sprintf("%s://%s/%s/%s", scheme, n.Cluster, roleWords[n.Role], n.ID)
}

func (n Name) check() error {
	switch {
	case !topology.NodeID(n.Cluster).Valid():
		return fmt.Errorf("cluster %q is not a name ([a-z][a-z0-9-]{0,62})", n.Cluster)
	case roleWords[n.Role] == "":
		return fmt.Errorf("role %d is neither node nor client", n.Role)
	case !n.ID.Valid():
		return fmt.Errorf("%q is not a name ([a-z][a-z0-9-]{0,62})", n.ID)
	}
	return nil
}

// parseName reads a name. Only the one spelling that String has is one.
func parseName(u *url.URL) (Name, error) {
	n := Name{Cluster: u.Host}
	word, id, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	for role, w := range roleWords {
		if w == word {
			n.Role = role
		}
	}
	n.ID = topology.NodeID(id)
	if err := n.check(); err != nil {
		return Name{}, fmt.Errorf("the name %.200q: %w", u.String(), err)
	}
	if u.String() != n.String() {
		return Name{}, fmt.Errorf("the name %.200q is not spelt %s", u.String(), n)
	}
	return n, nil
}

// nameOf returns the name in a certificate.
func nameOf(c *x509.Certificate) (Name, error) {
	var found *url.URL
	for _, u := range c.URIs {
		switch {
		case !strings.EqualFold(u.Scheme, scheme):
		case found != nil:
			return Name{}, fmt.Errorf("it has two names, %.200q and %.200q", found.String(), u.String())
		default:
			found = u
		}
	}
	if found == nil {
		return Name{}, fmt.Errorf("it has no name %s://CLUSTER/node/ID or %s://CLUSTER/client/NAME (other names are not looked at)", scheme, scheme)
	}
	return parseName(found)
}
