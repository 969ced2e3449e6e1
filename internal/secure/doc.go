// Package secure is what proves who is at the other end of a connection: TLS
// 1.3 by certificates of the cluster's own authority, in both directions.
//
// A certificate says who holds it by one URI among its subject alternative
// names: triad://CLUSTER/node/ID for a node, triad://CLUSTER/client/NAME for a
// client of the peers port. Names of hosts and the common name are never looked
// at between nodes. [Credentials] read the files, follow them as they change,
// and take connections through the handshake; [Authority] makes certificates.
//
// # What is promised
//
//	Z1  Who is let through has shown, by TLS 1.3 and nothing older, a certificate
//	    of the authority that is configured, within its time, for the use it is
//	    put to, with exactly one name of this cluster. What the name must be for
//	    what is asked is decided by who reads the hello.
//	Z2  Whoever is refused learns that, and never why. Why is in the error, which
//	    the transport logs.
//	Z3  Files that change are taken over without a restart, at a handshake at
//	    most CheckEvery later or at once by Reload. A new pair that is no pair,
//	    is not of the authority, has expired, or names somebody else is logged
//	    and leaves the old one in force.
//	Z4  No handshake waits for another, nor for the disk while another reads it.
//	Z5  Keys are never in an error or a log.
//
// # What is assumed
//
// The context or the deadline of a connection bounds its handshake. There are no
// revocation lists: a certificate is good until it expires or its authority is
// taken out of the CA file, and a connection until its greatest age.
package secure
