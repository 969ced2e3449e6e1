// Package client is the client of a Triad cluster for programs that run no node
// themselves. It speaks to the peers port of the nodes.
//
//	c, err := client.Dial([]string{"10.0.0.1:7400", "10.0.0.2:7400"}, client.Options{Cluster: "shop"})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	receipt, err := c.Put(ctx, "users", []byte("1001"), value)
//	reading, err := c.Get(ctx, "users", []byte("1001"), client.After(receipt.Token))
//
// # What it promises
//
//	R1  An error is one *topology.Error that says whether the operation may have
//	    happened (C9), as on the node itself.
//	R2  A write has a name, its caller's or else the client's own, and is sent again under
//	    it until it is known what became of it: it happens once (S17). One without
//	    (Options.Unnamed, or a cluster that takes no names) is sent again only where
//	    its first sending is known not to have been applied. A read changes nothing
//	    and may be sent again.
//	R3  A node that does not lead names the leader, and the client follows, at
//	    most RedirectsMax times a call (S14); other attempts are at most
//	    AttemptsMax. The last error is what the call returns.
//	    A named write leaves a leader that hangs for one that leads in its place.
//	R4  A call waits no longer than its context, and one whose context has ended
//	    is not sent.
//	R5  A read goes where its Routing says, and what it asks for is met whichever node
//	    that is: one that is known not to meet it is not asked, one that finds out says
//	    so and another is asked, after a token the leader next. Who has just failed
//	    comes last, and who takes a read and does not answer within Routing.NodeWait is
//	    left for another. The nodes are found from one seed, and looked for again every
//	    Options.RefreshEvery and when one fails.
//	R6  A Session reads its writes, and never an older state than before, at any node
//	    (PS7); after a failover that cut what it had seen it gets ErrRewound.
//	R7  A hedged read is sent to a second node where the first is slow, within a
//	    budget; both calls have ended when it returns.
//
// # What it assumes
//
// The addresses that nodes name one another by can be reached from here too.
package client
