package gossip

import (
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/topology"
)

// The tags of a member: identity and addresses, nothing that changes with load.
// serf carries them as a map of strings, 512 bytes in all. A name that is not
// known is ignored, so that a later version may add one.
const (
	tagCluster  = "cluster"  // the cluster's id, 32 hex digits; absent until it is known
	tagLife     = "life"     // of the data directory, 16 hex digits
	tagPeers    = "peers"    // host:port of the peers port
	tagSite     = "site"     // a name; absent if there is none
	tagProtocol = "protocol" // the oldest and the newest protocol of the peers port, "1-2"
)

// clusterID is the id of a cluster; zero if it is not known.
type clusterID [16]byte

// tags are a member's, decoded.
type tags struct {
	cluster                  clusterID
	life                     uint64
	peers                    string
	site                     string
	protocolMin, protocolMax uint64
}

func (t tags) encode() map[string]string {
	m := map[string]string{
		tagLife:     fmt.Sprintf("%016x", t.life),
		tagPeers:    t.peers,
		tagProtocol: fmt.Sprintf("%d-%d", t.protocolMin, t.protocolMax),
	}
	if t.cluster != (clusterID{}) {
		m[tagCluster] = hex.EncodeToString(t.cluster[:])
	}
	if t.site != "" {
		m[tagSite] = t.site
	}
	return m
}

// decodeTags reads what a member says of itself. It trusts nothing of it.
func decodeTags(m map[string]string) (t tags, err error) {
	if s, there := m[tagCluster]; there {
		if n, err := hex.Decode(t.cluster[:], []byte(s[:min(len(s), 2*len(t.cluster))])); err != nil || n != len(t.cluster) || len(s) != 2*len(t.cluster) {
			return t, fmt.Errorf("tag %s: %.40q is not 32 hex digits", tagCluster, s)
		}
	}
	if t.life, err = strconv.ParseUint(m[tagLife], 16, 64); err != nil || len(m[tagLife]) != 16 {
		return t, fmt.Errorf("tag %s: %.40q is not 16 hex digits", tagLife, m[tagLife])
	}
	if err := checkAddr(m[tagPeers], false); err != nil {
		return t, fmt.Errorf("tag %s: %w", tagPeers, err)
	}
	t.peers, t.site = m[tagPeers], m[tagSite]
	if t.site != "" && !topology.NodeID(t.site).Valid() {
		return t, fmt.Errorf("tag %s: %.80q is not a name", tagSite, t.site)
	}
	least, most, _ := strings.Cut(m[tagProtocol], "-")
	if t.protocolMin, err = strconv.ParseUint(least, 10, 32); err == nil {
		t.protocolMax, err = strconv.ParseUint(most, 10, 32)
	}
	if err != nil || t.protocolMin > t.protocolMax {
		return t, fmt.Errorf("tag %s: %.40q is not a range", tagProtocol, m[tagProtocol])
	}
	return t, nil
}

// checkAddr returns what is wrong with a host:port, nil if nothing is. Port 0
// and no host are for ports that are bound, not for those that are dialled.
func checkAddr(addr string, bound bool) error {
	if len(addr) > addrBytesMax {
		return fmt.Errorf("%d bytes are no address", len(addr))
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || (n == 0 && !bound) {
		return fmt.Errorf("%q has no port from 1 to 65535", addr)
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"'\/@`, c) >= 0 {
			return fmt.Errorf("%q names no host", addr)
		}
	}
	if ip := net.ParseIP(host); !bound && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("%q names no host", addr)
	}
	return nil
}
