package demo

import (
	"net"
	"strings"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// invite prints commands that work when they are pasted.
func (d *demo) invite() {
	d.printf("\n")
	d.title("the cluster is up until Ctrl-C")
	rows := [][]string{}
	for _, n := range d.c.living() {
		row := []string{string(n.ID), string(d.roleOf(n)), n.addr}
		if d.o.RESP != nil {
			row = append(row, n.resp)
		}
		rows = append(rows, row)
	}
	header := []string{"node", "role", "address"}
	if d.o.RESP != nil {
		header = append(header, "for redis clients")
	}
	d.table(header, rows)
	d.printf("\n")
	suffix := " --endpoints " + strings.Join(d.c.endpoints(), ",")
	if d.o.Cluster != clusterReady {
		suffix = " --cluster " + d.o.Cluster + suffix
	}
	for _, args := range d.examples() {
		d.line("%s %s%s", d.o.Command, args, suffix)
	}
	if d.leader.resp != "" {
		host, port, _ := net.SplitHostPort(d.leader.resp) // it is the address of a listener
		if host != "127.0.0.1" {
			port += " -h " + host
		}
		d.line("redis-cli -p %s", port)
	}
}

// roleOf is what a node is for, as far as the demo knows.
func (g *group) roleOf(n *node) topology.Role {
	switch {
	case g.c.of.NobodyLeads():
		return topology.RoleReplica
	case n == g.leader, n == g.leads[n.site]:
		return topology.RoleLeader
	case n.readsOnly():
		return topology.RoleReadReplica
	case n.role == config.RoleWitness:
		return topology.RoleWitness
	}
	return topology.RoleFollower
}

// examples are commands to try, without the flags that all of them need.
func (d *demo) examples() []string {
	all := []string{"status"}
	switch t, kind := d.writable(); {
	case d.o.Scenario == ScenarioLoad:
		all = append(all, "scan files --keys --limit 10")
	case d.o.Scenario == ScenarioTour:
		all = append(all, "get users 1001", `put users 2001 '{"name":"Eve"}'`, "scan orders --limit 5")
	case d.o.Scenario == ScenarioConflict:
		all = append(all, "put "+t+" 2001 Eve", "get "+t+" 2001", "conflicts list")
	case kind == record.KindRow:
		all = append(all, "put "+t+` 2001 '{"name":"Eve"}'`, "get "+t+" 2001", "scan "+t+" --limit 5")
	default:
		all = append(all, "put "+t+" greeting hello", "get "+t+" greeting", "scan "+t+" --keys --limit 5")
	}
	for _, n := range d.c.living() {
		if d.roleOf(n) == topology.RoleFollower {
			return append(all, "failover --to "+string(n.ID))
		}
	}
	return all
}
