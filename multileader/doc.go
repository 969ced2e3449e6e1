// Package multileader replicates between data centres that all take writes. A site is
// a single-leader group with followers and elections of its own; sites exchange what
// they have committed, in causal order, and where writes met that did not know of one
// another, all sites settle them alike.
//
// # How it works
//
// Whoever leads a site runs a [core.Core] over the group's log: it names the site's
// writes, takes those of other sites in the order of causes, and says what goes to
// whom. Every entry is committed by the site's own policy before anybody outside sees
// it, and every node of the site applies the same entries by the same merge, so a
// change of leader inside a site loses nothing and grows no vector. A link between two
// sites is one stream between their leaders, opened by the one with the smaller number.
//
// # What is promised
//
//  1. A write is acknowledged when the site's policy has it (singleleader's promises);
//     other sites have it later.
//  2. Once links are whole again, all sites hold the same bytes.
//  3. No site shows an effect before its causes.
//  4. What was acknowledged and lost to a concurrent write is kept in the site's list
//     of conflicts, with what won.
//
// # What is not
//
//   - Reads are not linearizable across sites, nor are conditions: a read is as fresh as
//     its own site. A session's token holds in every site.
//   - Two sites that update one key at once both succeed, and one update goes, where the
//     last writer wins.
package multileader
