package quorum

import (
	"fmt"
	"strings"
)

// Repair says when a read brings those replicas up to date that were behind (rule
// L4).
type Repair uint8

// The modes of repair.
const (
	RepairNone      Repair = iota // never
	RepairAsync                   // while the client is answered
	RepairBlocking                // before: the answer stands on a set that meets every later read
	RepairWriteBack               // before: the answer stands where a write of it would
)

func (r Repair) String() string {
	return [...]string{"none", "async", "blocking", "write-back", "?"}[min(r, RepairWriteBack+1)]
}

// Order says which of two versions stays.
type Order uint8

// The orders.
const (
	OrderSiblings Order = iota // what was overwritten goes; concurrent ones are kept side by side
	OrderMerged                // concurrent ones are joined, by a data type
	OrderTime                  // the greatest hybrid logical time, which extends causality (C3)
	OrderWall                  // the greatest time of a machine's or a client's own clock
	OrderTag                   // the greatest tag, whose counter the writer read from R first (ABD)
)

func (o Order) String() string {
	return [...]string{"siblings", "merged", "time", "wall", "tag", "?"}[min(o, OrderTag+1)]
}

// Setting is how a table is read and written.
type Setting[N ~string] struct {
	// Reads and Writes are what requests need: one for all, or one for each site
	// from which they may come, in the same order, where that makes a difference.
	Reads, Writes []Need[N]
	Repair        Repair
	Order         Order
	Sloppy        bool // answers of nodes that are no replicas count
	Received      bool // replicas answer before what they have is durable
}

// Promise is a set of promises, one bit each.
type Promise uint16

// The promises.
const (
	Converges    Promise = 1 << iota // replicas that have heard of the same writes hold the same
	Durable                          // an acknowledged write outlives the loss of one disk at least
	KeepsWrites                      // no acknowledged write makes way for one that had not seen it
	Fresh                            // a read sees every write acknowledged before it began, or what replaced that
	ReadsYours                       // a client that stays in its site reads its own acknowledged writes, or what replaced them
	Monotonic                        // no read shows less than an earlier one did, whoever's
	Linearizable                     // reads and writes of a key are as if one copy took them, one by one
	WritesMeet                       // of two writes one meets the other before both are acknowledged

	promises = 8
)

var promiseNames = [promises]string{
	"converges", "durable", "keeps concurrent writes", "fresh", "reads its own writes", "monotonic", "linearizable", "writes meet",
}

// String returns the names of the promises, with commas between.
func (p Promise) String() string {
	var names []string
	for i, n := range promiseNames {
		if p&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", ")
}

// Promised is one promise: whether it holds, and in which sense, or why it does
// not.
type Promised struct {
	Promise Promise
	Holds   bool
	Says    string
}

// Guaranteed is what a setting promises and what not.
type Guaranteed struct {
	Holds Promise
	Lines []Promised // all of them, in order of their bits
	// Survives is how many disks, any, may be lost at once without an
	// acknowledged write; 0 where Durable does not hold.
	Survives int
}

// Reading names what a read is worth, in the words of an answer: "linearizable",
// "fresh and monotonic", "fresh", "monotonic" or "may be stale".
func (g Guaranteed) Reading() string {
	switch p := g.Holds; {
	case p&Linearizable != 0:
		return "linearizable"
	case p&Fresh != 0 && p&Monotonic != 0:
		return "fresh and monotonic"
	case p&Fresh != 0:
		return "fresh"
	case p&Monotonic != 0:
		return "monotonic"
	}
	return "may be stale"
}

// Guarantees says what holds of a setting while its map does not change, and what
// does not. Its error wraps [ErrExpr]: nothing to read or write by, or expressions
// with too many sets to try.
func Guarantees[N ~string](s Setting[N]) (g Guaranteed, err error) {
	if len(s.Reads) == 0 || len(s.Writes) == 0 {
		return g, fmt.Errorf("%w: no reads, or no writes", ErrExpr)
	}
	stale, err := apart(s.Reads, s.Writes, "a read of %v does not meet a write to %v")
	if err != nil {
		return g, err
	}
	cross, err := apart(s.Writes, s.Writes, "a write to %v does not meet one to %v")
	if err != nil {
		return g, err
	}
	least := MembersMax
	for _, w := range s.Writes {
		n, err := w.Least()
		if err != nil {
			return g, err
		}
		least = min(least, n)
	}
	g.add(Converges, "replicas that have heard of the same writes hold the same bytes; all hear of all, sooner or later")
	g.add(durable(&s, least, &g))
	g.add(keeps(s.Order))
	g.add(fresh(&s, stale))
	yours, says, err := mine(&s, stale)
	if err != nil {
		return g, err
	}
	g.add(yours, says)
	g.add(monotonic(&s, stale))
	g.add(Linearizable, g.linearizable(s.Order))
	if s.Sloppy && cross == "" {
		cross = "answers of nodes that are no replicas count"
	}
	g.add(WritesMeet, either(cross, "two writers always find a replica that both have reached"))
	return g, nil
}

// denied marks a reason against a promise.
const denied = "\x00"

// either says why not, if there is a reason.
func either(why, holds string) string {
	if why != "" {
		return denied + why
	}
	return holds
}

func (g *Guaranteed) add(p Promise, says string) {
	why, no := strings.CutPrefix(says, denied)
	if !no {
		g.Holds |= p
	}
	g.Lines = append(g.Lines, Promised{Promise: p, Holds: !no, Says: why})
}

// apart returns an example of two sets that do not meet, in words.
func apart[N ~string](as, bs []Need[N], format string) (string, error) {
	for _, a := range as {
		for _, b := range bs {
			x, y, found, err := Apart(a, b)
			if err != nil {
				return "", err
			}
			if found {
				return fmt.Sprintf(format, x, y), nil
			}
		}
	}
	return "", nil
}

func durable[N ~string](s *Setting[N], least int, g *Guaranteed) (Promise, string) {
	switch {
	case s.Received:
		return Durable, denied + "replicas answer before what they have is durable: a power cut of those loses it"
	case least < 2:
		return Durable, denied + "one replica is enough, and its disk may be the only one that has the write"
	}
	g.Survives = least - 1
	disks := "any one disk is"
	if g.Survives > 1 {
		disks = fmt.Sprintf("any %d disks are", g.Survives)
	}
	return Durable, "an acknowledged write outlives it if " + disks + " lost"
}

func keeps(o Order) (Promise, string) {
	switch o {
	case OrderSiblings:
		return KeepsWrites, "concurrent writes are kept side by side until a write that has seen them replaces them"
	case OrderMerged:
		return KeepsWrites, "concurrent writes are joined"
	case OrderWall:
		return KeepsWrites, denied + "the write with the greatest time stays, even over one that had seen it: clocks are apart"
	}
	return KeepsWrites, denied + "of concurrent writes one stays"
}

// voids are the reasons for which two sets that meet on paper do not in fact.
func voids[N ~string](s *Setting[N], stale string) string {
	switch {
	case stale != "":
		return stale
	case s.Sloppy:
		return "answers of nodes that are no replicas count: what they hold, a read of the replicas does not find"
	case s.Received:
		return "a replica that restarts may have forgotten what it acknowledged"
	}
	return ""
}

func fresh[N ~string](s *Setting[N], stale string) (Promise, string) {
	why := voids(s, stale)
	if why == "" && s.Order == OrderWall {
		why = "a write that had seen another may have the smaller time, and is dropped where both meet"
	}
	holds := "every read meets every acknowledged write"
	if s.Order == OrderTime {
		holds += ", and shows it or one of a greater time"
	}
	return Fresh, either(why, holds)
}

// mine is fresh for who reads and writes from one place.
func mine[N ~string](s *Setting[N], stale string) (Promise, string, error) {
	says := "as every read is fresh"
	if stale != "" && len(s.Reads) == len(s.Writes) && len(s.Reads) > 1 {
		stale, says = "", "a client that stays in its site meets its own writes there"
		for i := range s.Reads {
			why, err := apart(s.Reads[i:i+1], s.Writes[i:i+1], "a read of %v does not meet a write to %v")
			if err != nil {
				return ReadsYours, "", err
			}
			if stale == "" {
				stale = why
			}
		}
	}
	if _, why := fresh(s, stale); strings.HasPrefix(why, denied) {
		says = why
	}
	return ReadsYours, says, nil
}

func monotonic[N ~string](s *Setting[N], stale string) (Promise, string) {
	switch {
	case wholeReads(s):
		return Monotonic, either(voids(s, ""), "a read asks every replica that a write can have reached")
	case s.Repair < RepairBlocking:
		return Monotonic, denied + "a write that has reached some replicas may be seen, and not be by the next read: repair is " + s.Repair.String()
	case s.Repair == RepairWriteBack && stale != "":
		return Monotonic, denied + "what is written back may not be met: " + stale
	}
	return Monotonic, either(voids(s, ""), "what a read shows stands where every later read meets it, before it is shown")
}

// wholeReads reports whether every read meets every member that any write may have
// reached: a version that one replica has is found.
func wholeReads[N ~string](s *Setting[N]) bool {
	for _, w := range s.Writes {
		for _, m := range w.members {
			for _, r := range s.Reads {
				d, i := r.form.dual(), r.Index(m)
				if i < 0 || !d.met(1<<i) {
					return false
				}
			}
		}
	}
	return true
}

func (g *Guaranteed) linearizable(o Order) string {
	var why []string
	if g.Holds&Fresh == 0 {
		why = append(why, "reads are not fresh")
	}
	if g.Holds&Monotonic == 0 {
		why = append(why, "reads are not monotonic")
	}
	switch o {
	case OrderTag:
	case OrderSiblings, OrderMerged:
		why = append(why, "concurrent writes have no order")
	default:
		why = append(why, "a write may sort before one that was acknowledged before it began: its time is not read from the replicas first")
	}
	return either(strings.Join(why, "; "), "what a read shows stands before it is shown, and a write sorts after everything acknowledged before it began")
}
