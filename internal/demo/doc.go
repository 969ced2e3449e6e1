// Package demo boots a cluster on this machine and proves, on the real parts,
// what it claims: real directories, real loopback sockets, the product's own
// remote client, and nodes that run in this process or each in one of its own.
//
// A cluster is a [Layout]: one of examples/clusters by its name, or a file. What is
// played on it is a scenario (scenario.go); each ready cluster has one of its own,
// and one fits any cluster. Nodes whose sites are apart talk through links
// (internal/link), which a scenario may cut and heal; clients that stand in no site
// do not.
//
// # What it promises
//
//   - Every phase ends in a check that can fail, and [Run] returns nil only if
//     every one held; otherwise its error is [ErrCheck], and what failed was told.
//   - A node that ends by itself, or whose directory takes no more writes, is a
//     check that did not hold, whatever else went well.
//   - Nothing waits without a limit: [phaseTimeout] for a phase, and longer where a
//     node applies late, [lateMax] at most; [stopTimeout] for the end of a node.
//   - What it started has ended when Run returns, and a directory it made for
//     itself is gone; one it was given is left as the nodes left it.
//
// It knows nodes by their addresses alone: all it does with them, the change of
// leader included, is what a remote client can do. What is special to a demo, to
// start a node and to kill it, is a [life]: see life.go and process.go.
//
// # How a node in this process is killed
//
// Its [plug.Plug] is pulled: no byte reaches its disk or its peers any more, whatever
// the node tries, and its connections are reset. What it had written before stays
// as the kernel has it. That is what SIGKILL leaves of a process.
package demo
