// Command triad-etcd is the command triad whose files of nodes and clusters may say
//
//	control: {kind: etcd, endpoints: [10.0.0.1:2379, 10.0.0.2:2379, 10.0.0.3:2379]}
//
// The documents that say who leads then stand in an etcd that is there already, and the
// nodes need no vote of their own. All else is as in the plain command, which is spared
// the client of etcd and what that needs; docs/configuration.md has the keys.
package main

import "github.com/triad-kv/triad/internal/cli"

func main() { cli.Main(kind) }
