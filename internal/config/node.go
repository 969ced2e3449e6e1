package config

import (
	"github.com/triad-kv/triad/internal/config/strict"
)

// Node is node.yaml: what one node is.
type Node struct {
	Cluster  string   `yaml:"cluster" default:"triad"`
	Self     Self     `yaml:"node"`
	Listen   Listen   `yaml:"listen"`
	Members  []Member `yaml:"members"`
	Join     []string `yaml:"join"`
	Control  Control  `yaml:"control"`
	Topology Topology `yaml:"topology"`
	Tables   []Table  `yaml:"tables"`
	Limits   Limits   `yaml:"limits"`
	RESP     RESP     `yaml:"resp"`
	TLS      TLS      `yaml:"tls"`
	Gossip   Gossip   `yaml:"gossip"`
	Admin    Admin    `yaml:"admin"`
	Log      Log      `yaml:"log"`

	values *strict.Values
}

// Self is what differs between the nodes of a cluster.
type Self struct {
	ID         string   `yaml:"id" default:"a"`
	Site       string   `yaml:"site"`
	Role       Role     `yaml:"role" default:"voter"`
	Dir        string   `yaml:"dir"`
	Memory     bool     `yaml:"memory" default:"false"` // the store, not the log
	ApplyDelay Duration `yaml:"apply_delay" default:"0"`
	Upstream   []string `yaml:"upstream"` // of a read replica: who feeds it instead of the leader, preferred first
}

// Listen holds an address host:port a port; one that is empty is not opened.
type Listen struct {
	Peers  string `yaml:"peers"`
	RESP   string `yaml:"resp"`
	Admin  string `yaml:"admin"`
	Gossip string `yaml:"gossip"`
}

// Member is a node of the cluster as the others see it.
type Member struct {
	ID   string `yaml:",key"`
	Addr string `yaml:"addr,short"` // of its peers port
	RESP string `yaml:"resp"`       // of its port for Redis clients
	Site string `yaml:"site"`
	Role Role   `yaml:"role" default:"voter"`
}

// Gossip finds out where members are, where listen.gossip opens a port for it.
type Gossip struct {
	Advertise  string   `yaml:"advertise"` // where others reach that port
	Peers      string   `yaml:"peers"`     // where others reach the peers port
	ProbeEvery Duration `yaml:"probe_every" default:"1s"`
	KeyFile    string   `yaml:"key_file"` // a key a line, the first for what is sent
	Key        string   `yaml:"key,secret"`
}

// Admin is the port for health and status.
type Admin struct {
	TokenFile string `yaml:"token_file"`
	Token     string `yaml:"token,secret"`
}

// ReadNode reads node.yaml. name is how errors call the file, which are
// [*strict.Refused]; overrides replace what it says. A nil text is no file: then
// the overrides say everything.
func ReadNode(name string, text []byte, overrides ...strict.Override) (*Node, error) {
	return Reader{}.ReadNode(name, text, overrides...)
}

// ReadNode is the function of that name, with the reader's controls.
func (r Reader) ReadNode(name string, text []byte, overrides ...strict.Override) (*Node, error) {
	if text == nil {
		return r.bindNode(nil, overrides)
	}
	d, err := strict.Parse(name, text)
	if err != nil {
		return nil, err
	}
	return r.bindNode(d, overrides)
}

func (r Reader) bindNode(d *strict.Document, overrides []strict.Override) (*Node, error) {
	n := &Node{Control: Control{Options: r.outside(d, overrides)}}
	n.values = strict.Bind(d, n, overrides...)
	n.check(r.names())
	if err := n.values.Err(); err != nil {
		return nil, err
	}
	return n, nil
}

// Warnings is what is taken and may not be what its author wants.
func (n *Node) Warnings() []strict.Finding { return n.values.Warnings() }

// Values is every value and where it comes from.
func (n *Node) Values() []strict.Value { return n.values.All(*n) }
