// Package etcd is a control backend on an external etcd (rule K4): the documents
// that say who counts stand there, one key each, and a name is claimed by a key
// under a lease. It is a module of its own, so that who does not use it is spared
// the client of etcd and what that needs.
//
//	control := etcd.New(etcd.Options{Endpoints: []string{"10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"}, Cluster: "shop"})
//	node, err := triad.Open(triad.Config{Control: control, …})
//
// Below /triad/shop/ (prefix and cluster) stand
//
//	document/NAME   a document: version, what made it and what made the versions before, body
//	name/NODE       a claim on a node's name, under the lease of its holder
//	number          how many claims there were
//
// What it promises, as long as etcd keeps what it has answered for:
//
//	E1  A document changes by Swap on its version only, by a transaction that
//	    compares the revision of what was read. The version stands in the value
//	    and grows by one; no revision of etcd is ever a version or a number, for
//	    those go back when a snapshot is restored.
//	E2  Load is linearizable.
//	E3  A Swap whose answer is lost is made again as it was, for as long as its
//	    context lasts. Every version says by which attempt it, and up to 15
//	    before it, were made: so one copy at most is applied, and Swap knows
//	    whether one was. If the context ends first, or 16 versions have
//	    followed, it is Unknown. What is said not to be applied never will be.
//	E4  The channel of Latest is closed once a newer version is known. Every
//	    change is watched, and everything is read again every Options.Review, so
//	    that what a watch cannot tell (compacted history, a restored etcd, a
//	    member that lags) is found by then.
//	E5  A name has one holder. Numbers grow with every claim, over all names.
//	    Lost is closed no later than the lease can end at etcd, counted from when
//	    the last renewal that was answered was sent, less a hundredth.
//
// And where etcd does not keep it:
//
//	E6  A node keeps, beside its log, the newest version of each document that it
//	    was shown, and etcd's id of its cluster; durably, before a caller sees
//	    the version. What etcd shows afterwards may not be older, may not have
//	    another history, and may not come from another cluster: it is refused
//	    (ErrStale), and Latest stays where it was. A node that has never seen
//	    etcd before cannot know, and believes it.
//
// What it does not: Latest has no bound on how old it is while etcd is away, or
// within a Review; it is for looking, and what is decided by it is decided again
// by the Swap. A name is no lock over anything but itself: its holder may be
// paused, and find Lost closed only when it runs again; a machine that sleeps does
// not count the time. Who may write keys by hand can break all of it.
//
// It assumes that the clocks of this process and of etcd run at rates that differ
// by less than a hundredth, and a [topology.Stable] that forgets nothing it has
// returned for.
//
// When etcd was restored from a snapshot on purpose, and is older than what nodes
// have seen, they refuse it until an operator says that it is meant: stop every
// node, and remove the document control/etcd from their data directories (its
// files in stable/ begin with control%etcd). What the nodes' logs hold is not
// touched by that, and terms that were accepted there stay accepted (S2).
package etcd
