// Package triad is the front door of Triad: a replicated key-value store that
// runs inside a program, on one write-ahead log that three topologies share.
//
// [Open] opens a node on a data directory, [Node.Run] works until its context
// ends, [Node.Close] releases what was opened. How the node replicates is
// decided by the [topology.Builder] in its [Config], which the caller passes as a
// handler is passed to net/http; this package decides nothing of it.
//
//	node, err := triad.Open(triad.Config{
//		Dir:      "data/a",
//		Topology: singleleader.New(singleleader.Options{}),
//	})
//	if err != nil {
//		return err
//	}
//	defer node.Close()
//	go node.Run(ctx)
//
//	users := triad.TableOf[User](node, "users")
//	receipt, err := users.Put(ctx, "1001", User{Name: "Alice"})
//	alice, err := users.Get(ctx, "1001", triad.After(receipt.Token))
//
// # What it promises
//
//	N1  One error type: what an operation returns is a [*topology.Error] that says
//	    whether it may have happened (C9), and whose ground errors.Is finds among
//	    the sentinels of package topology. A call whose context has ended already
//	    does nothing (bad input 91).
//	N2  An option that does not fit a call, contradicts another or is given twice
//	    is refused with [topology.ErrUnsupported], never ignored (bad input 94).
//	N3  A table's number and kind never change; a name nobody defined is
//	    [topology.ErrNoTable]. Definitions are records of the system table, in one
//	    order with the data, so that they are replicated, in snapshots, and
//	    survive a failover like any other write.
//	N4  Bytes that a client wrote are walked by a bounded reader before anything
//	    else believes a length in them; what cannot be read is
//	    [topology.ErrMalformed] with its table and key.
//	N5  What fails in a node ends its Run with the reason, and nothing else in
//	    the program: no panic, no exit, no goroutine left behind.
//
// # What it assumes
//
// Of an [topology.Engine]: once its Run has returned, calls that wait in it, and
// later ones, return. The optional abilities an engine may have are found by
// assertion: [topology.Scanner], [topology.Waiter], [topology.Promoter], and
// [Retainer] and [Termed] of this package.
package triad
