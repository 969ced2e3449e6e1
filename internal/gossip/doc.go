// Package gossip is the membership of a cluster whose nodes find one another: a
// [topology.Membership] on hashicorp/serf.
//
// It promises
//
//  1. that the view names exactly the members of the configuration, always:
//     gossip changes addresses and liveness, never who counts. Who else is heard
//     stands apart, as a stranger, and [StrangersMax] of them are let in;
//  2. that a view's channel is closed once, and only, when the view has changed;
//  3. that clusters of another name, of another key or of another id do not
//     merge with this one, whatever their seeds say;
//  4. that of two processes which claim one name from two places the first one
//     stays, until it has failed or left, and that the second is reported;
//  5. that no message makes a live node dead for longer than it takes that node
//     to object;
//  6. that it holds no more than its limits (see limits.go) of what others send,
//     writes no line past its logger, and has ended once Run has returned.
//
// It assumes that who has a key may be believed: a member that lies can send
// others to a wrong address, where the transport refuses whoever answers. Without
// a key that would hold for everybody who reaches the port, so gossip without
// one listens on loopback alone.
//
// What travels in a member's tags is in tags.go; docs/format.md lists it.
package gossip
