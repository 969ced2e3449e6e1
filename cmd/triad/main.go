// Command triad runs, shows and operates Triad clusters.
//
//	triad demo                       a cluster on this machine, from the first write to a failover
//	triad server -c node.yaml        one node, from a file; triad config check says what it would run
//	triad status                     who leads, and who has what
//	triad put users 1001 '{…}'       and get, del, scan
//
// triad help lists all of it; what the commands have in common is described with
// package internal/cli, which they live in.
package main

import "github.com/triad-kv/triad/internal/cli"

func main() { cli.Main() }
