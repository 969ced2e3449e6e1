package raft

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// serverBytesMax is the longest id of a server: a node's name, "@", a life.
const serverBytesMax = 63 + 1 + 16

// server is a voter in raft's eyes: one directory of one node. A node whose
// directory was lost comes back with another life, and so as another server, which
// has voted for nobody: its predecessor is removed and it is added, and what the
// predecessor promised is nobody's any more. raft remembers votes by address, so
// the address of a server is its id.
type server struct {
	node topology.NodeID
	life uint64
}

func (s server) id() raft.ServerID           { return raft.ServerID(s.String()) }
func (s server) address() raft.ServerAddress { return raft.ServerAddress(s.String()) }
func (s server) String() string              { return fmt.Sprintf("%s@%x", s.node, s.life) }

func parseServer(id string) (server, error) {
	node, hex, ok := strings.Cut(id, "@")
	life, err := strconv.ParseUint(hex, 16, 64)
	s := server{topology.NodeID(node), life}
	if !ok || err != nil || !s.node.Valid() || s.String() != id {
		return server{}, fmt.Errorf("%q is not a server's id: %w", id, topology.ErrMalformed)
	}
	return s, nil
}

// nodeOf returns the node of a server's id or address; empty for an empty one.
func nodeOf[T raft.ServerID | raft.ServerAddress](id T) topology.NodeID {
	node, _, _ := strings.Cut(string(id), "@")
	return topology.NodeID(node)
}
