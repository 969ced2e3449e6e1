package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

var (
	anyOne  = config.Sync{Policy: quorum.Any(1)}
	flushed = config.Durability(topology.Flushed)
)

// Topology is which engine a subject has.
type Topology string

// The topologies.
const (
	SingleLeader Topology = "single-leader"
	MultiLeader  Topology = "multi-leader"
	Leaderless   Topology = "leaderless"
)

// Level is what a read asks for.
type Level string

// The levels.
const (
	LevelAny          Level = "any"          // whatever the node holds
	LevelSession      Level = "session"      // at least what the session has seen
	LevelLinearizable Level = "linearizable" // at least what was acknowledged before
)

// Levels are all levels, the weakest first.
var Levels = []Level{LevelAny, LevelSession, LevelLinearizable}

// Policy is what becomes of two writes that did not know of each other.
type Policy string

// The policies.
const (
	PolicyLWW      Policy = "lww"      // the later one stays
	PolicyCRD      Policy = "crdt"     // both count, by a data type that merges
	PolicySiblings Policy = "siblings" // both are kept until who has read both writes what they come to
)

// Via is how clients ask the nodes of a subject.
type Via string

// The ways.
const (
	ViaCalls  Via = "calls"  // nodes are in this process, and are called
	ViaClient Via = "client" // nodes are processes, triad server, asked by the Go client
	ViaRESP   Via = "resp"   // likewise, by connections for Redis clients
)

// Processes reports whether nodes are processes of their own.
func (v Via) Processes() bool { return v == ViaClient || v == ViaRESP }

// Kind is a kind of work.
type Kind string

// The kinds of work. YCSB's are those of Cooper et al. 2010.
const (
	YCSBA   Kind = "ycsb-a"  // half reads, half updates
	YCSBB   Kind = "ycsb-b"  // 95 % reads, 5 % updates
	YCSBC   Kind = "ycsb-c"  // reads
	YCSBD   Kind = "ycsb-d"  // 95 % reads of what is new, 5 % inserts
	YCSBE   Kind = "ycsb-e"  // 95 % scans, 5 % inserts
	YCSBF   Kind = "ycsb-f"  // half reads, half read-modify-writes
	Counter Kind = "counter" // keys that are added to
	Cart    Kind = "cart"    // sets that things are put into and taken from
	Bank    Kind = "bank"    // transfers between accounts
	Append  Kind = "append"  // documents that lines are appended to
)

// Deed is what goes wrong.
type Deed string

// The deeds.
const (
	Kill      Deed = "kill"      // nodes end without a word, and come back
	Pause     Deed = "pause"     // nodes stand still
	Partition Deed = "partition" // nodes reach only one another
	SlowDisk  Deed = "slow-disk" // every sync takes longer
	SlowNode  Deed = "slow-node" // every sync and every message takes longer
	Clock     Deed = "clock"     // the time of day jumps, and back
	Join      Deed = "join"      // nodes that were not there are added, and then removed
	Leave     Deed = "leave"     // nodes are removed, and then added again with nothing on their disks
)

// Members reports whether a deed changes who takes part.
func (d Deed) Members() bool { return d == Join || d == Leave }

// inside are the deeds that take a plug or a clock that the harness holds itself, which
// processes do not give it.
func (d Deed) inside() bool { return d == SlowDisk || d == SlowNode || d == Clock }

// Anomaly is something that users notice and a promise may forbid.
type Anomaly string

// The anomalies.
const (
	StaleReads      Anomaly = "stale reads"           // an acknowledged write does not show
	OwnWrites       Anomaly = "own writes missed"     // read-your-writes
	BackInTime      Anomaly = "back in time"          // monotonic reads
	TornPrefix      Anomaly = "effect before cause"   // consistent prefix
	NotLinearizable Anomaly = "no order explains it"  // linearizability
	LostWrites      Anomaly = "acknowledged and lost" // durability
	LostUpdates     Anomaly = "lost updates"          // of counters, carts, accounts, documents
	OutOfNowhere    Anomaly = "out of nowhere"        // a value that nobody wrote, or that was refused
	NeverTheSame    Anomaly = "never the same"        // convergence
)

// Anomalies are all of them, as a matrix shows them.
var Anomalies = []Anomaly{StaleReads, OwnWrites, BackInTime, TornPrefix, NotLinearizable, LostWrites, LostUpdates, OutOfNowhere, NeverTheSame}

// Distribution is how keys are chosen.
type Distribution string

// The distributions.
const (
	Zipfian Distribution = "zipfian"
	Latest  Distribution = "latest"
	Uniform Distribution = "uniform"
)

// word reads one of some words.
func word[T ~string](to *T, text string, words ...T) error {
	if i := slices.Index(words, T(text)); i >= 0 {
		*to = words[i]
		return nil
	}
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	if near := strict.Nearest(text, names); near != "" {
		return fmt.Errorf("%.64q is none of %s; did you mean %s?", text, strings.Join(names, ", "), near)
	}
	return fmt.Errorf("%.64q is none of %s", text, strings.Join(names, ", "))
}

// UnmarshalText reads a topology.
func (t *Topology) UnmarshalText(b []byte) error {
	return word(t, string(b), SingleLeader, MultiLeader, Leaderless)
}

// UnmarshalText reads a level.
func (l *Level) UnmarshalText(b []byte) error { return word(l, string(b), Levels...) }

// UnmarshalText reads a policy.
func (p *Policy) UnmarshalText(b []byte) error {
	return word(p, string(b), PolicyLWW, PolicyCRD, PolicySiblings)
}

// UnmarshalText reads a way.
func (v *Via) UnmarshalText(b []byte) error { return word(v, string(b), ViaCalls, ViaClient, ViaRESP) }

// UnmarshalText reads a kind of work.
func (k *Kind) UnmarshalText(b []byte) error {
	return word(k, string(b), YCSBA, YCSBB, YCSBC, YCSBD, YCSBE, YCSBF, Counter, Cart, Bank, Append)
}

// UnmarshalText reads a deed.
func (d *Deed) UnmarshalText(b []byte) error {
	return word(d, string(b), Kill, Pause, Partition, SlowDisk, SlowNode, Clock, Join, Leave)
}

// UnmarshalText reads an anomaly, with dashes between its words or as a report has it.
func (a *Anomaly) UnmarshalText(b []byte) error {
	var names []Anomaly
	for _, x := range Anomalies {
		names = append(names, Anomaly(strings.ReplaceAll(string(x), " ", "-")))
	}
	if err := word(a, strings.ReplaceAll(string(b), " ", "-"), names...); err != nil {
		return err
	}
	*a = Anomalies[slices.Index(names, *a)]
	return nil
}

// UnmarshalText reads a distribution.
func (d *Distribution) UnmarshalText(b []byte) error {
	return word(d, string(b), Zipfian, Latest, Uniform)
}

// Count is a small number, from 1.
type Count int

// TypeName is what docs call the type.
func (c Count) TypeName() string { return "number" }

// UnmarshalText reads a number.
func (c *Count) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < 1 || n > 9 {
		return fmt.Errorf("a number from 1 to 9 is wanted here, not %.64q", b)
	}
	*c = Count(n)
	return nil
}

// Percent is a whole part of a hundred, or nothing said.
type Percent struct {
	Of    int
	Given bool
}

// TypeName is what docs call the type.
func (p Percent) TypeName() string { return "percent" }

// UnmarshalText reads a number, or one with a percent sign.
func (p *Percent) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(strings.TrimSuffix(string(b), "%"))
	if err != nil || n < 0 || n > 100 {
		return fmt.Errorf("a part of a hundred is wanted here, as in 50%%, not %.64q", b)
	}
	*p = Percent{n, true}
	return nil
}

// Share is a part of one, as a percentage that may be broken.
type Share float64

// TypeName is what docs call the type.
func (s Share) TypeName() string { return "percent" }

// UnmarshalText reads 0.1%.
func (s *Share) UnmarshalText(b []byte) error {
	text, ok := strings.CutSuffix(string(b), "%")
	f, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || f < 0 || f >= 100 {
		return fmt.Errorf("a percentage below 100 is wanted here, as in 0.1%%, not %.64q", b)
	}
	*s = Share(f / 100)
	return nil
}
