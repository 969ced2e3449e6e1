package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// exampleNodes runs nodes that elect who leads: the first by name begins. end ends those
// that still run.
func exampleNodes(n int) (nodes []node, end func()) {
	var members []triad.Member
	var listeners []net.Listener
	var ids []topology.NodeID
	for _, id := range []topology.NodeID{"a", "b", "c"}[:n] {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		listeners, ids = append(listeners, l), append(ids, id)
		members = append(members, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	for i, m := range members {
		o := singleleader.Options{FailAfter: 300 * time.Millisecond}
		control := triad.Config{}.Control // static: who is alone leads
		if n > 1 {
			o.Sync = quorum.First(1)
			control = raft.New(raft.Options{Voters: ids, Heartbeat: 100 * time.Millisecond})
		}
		opened, err := triad.Open(triad.Config{
			ID: m.ID, Dir: "data", FS: vfs.NewMem(), // so that the example leaves nothing behind
			Members: members, Listener: listeners[i], Control: control, Topology: singleleader.New(o),
		})
		if err != nil {
			panic(err)
		}
		done := make(chan error, 1)
		go func() { done <- opened.Run(context.Background()) }()
		ended := false
		nodes = append(nodes, node{Node: opened, addr: m.Addr, end: func() error {
			if ended {
				return nil
			}
			ended = true
			return errors.Join(opened.Close(), <-done)
		}})
	}
	return nodes, func() {
		for _, n := range nodes {
			if err := n.end(); err != nil {
				fmt.Println(err)
			}
		}
	}
}

// Three nodes elect who leads. When the leader is lost, a client follows the one that is
// elected in its place: a write that met nobody, or a leader that died over it, is sent
// again under its name and happens once.
func Example_failover() {
	nodes, end := exampleNodes(3)
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// One address is enough: the client finds the others.
	c, err := client.Dial([]string{nodes[2].addr}, client.Options{AttemptsMax: 100, RetryMax: 100 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	account := []byte("account")
	first, err := c.Put(ctx, "default", account, []byte("100"))
	fmt.Println("written:", err)
	leads, err := c.Get(ctx, "default", account)
	fmt.Println("read at the leader:", string(leads.Value), err)

	lost := leads.Served
	for _, n := range nodes {
		if n.Status().Node == lost {
			fmt.Println("the leader ends:", n.end())
		}
	}
	second, err := c.Put(ctx, "default", account, []byte("90"), client.IfVersion(leads.Dot))
	fmt.Println("written again:", err)
	fmt.Println("in a later term:", second.Term > first.Term)
	leads, err = c.Get(ctx, "default", account)
	fmt.Println("read at its successor:", string(leads.Value), leads.Served != lost, err)
	// Output:
	// written: <nil>
	// read at the leader: 100 <nil>
	// the leader ends: <nil>
	// written again: <nil>
	// in a later term: true
	// read at its successor: 90 true <nil>
}
