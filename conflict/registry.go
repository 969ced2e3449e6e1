package conflict

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Digest tells resolvers apart that two nodes call by one name. It is made of the
// name, the version, the parameters, and of what the resolver makes of sets of
// siblings that are the same everywhere: so it differs where somebody changed a
// function and not its version. Equal digests are no proof of equal functions.
type Digest [16]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Entry is what one node says of a resolver to another.
type Entry struct {
	ID
	Digest Digest
}

// Registry is the resolvers that one node knows. It is made once and then only read,
// by anybody.
type Registry struct {
	known   []Resolver // by name, then version
	entries []Entry    // as known
}

var nameOf = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// builtin are the resolvers that every node knows; SitePriority is made for a table.
func builtin() []Resolver {
	return []Resolver{LWW(), FirstWriter(), Fields(), Siblings(), Join()}
}

// NewRegistry returns a registry of the resolvers that are always there and of those
// given: custom ones, and those with parameters. Two of one name need two versions,
// or other parameters; a version is at least 1. Errors wrap [ErrResolver].
func NewRegistry(more ...Resolver) (*Registry, error) {
	g := &Registry{known: append(builtin(), more...)}
	slices.SortStableFunc(g.known, func(a, b Resolver) int { return a.ID().compare(b.ID()) })
	for i, r := range g.known {
		id := r.ID()
		switch {
		case !nameOf.MatchString(id.Name):
			return nil, fmt.Errorf("%w %q: a name is lower-case letters, digits and dashes, at most 64, and begins with a letter", ErrResolver, id.Name)
		case id.Version == 0:
			return nil, fmt.Errorf("%w %s has version 0: versions begin at 1", ErrResolver, id.Name)
		case i > 0 && g.known[i-1].ID() == id:
			return nil, fmt.Errorf("%w %v is there twice: give the second another name or version", ErrResolver, id)
		}
		g.entries = append(g.entries, Entry{id, DigestOf(r)})
	}
	return g, nil
}

func (id ID) compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Name, other.Name), cmp.Compare(id.Version, other.Version), cmp.Compare(id.Params, other.Params))
}

// String is the form that [Registry.Find] reads: name@version, or
// name@version(parameters).
func (id ID) String() string {
	if id.Params == "" {
		return fmt.Sprintf("%s@%d", id.Name, id.Version)
	}
	return fmt.Sprintf("%s@%d(%s)", id.Name, id.Version, id.Params)
}

// Find returns the resolver that a table names: as [ID.String] writes it, or by its
// name alone for the newest version; site-priority(1, 2) is made as it is asked for,
// the numbers being those of origins. Errors wrap [ErrResolver].
func (g *Registry) Find(named string) (Resolver, error) {
	name, params, hasParams := strings.Cut(named, "(")
	if hasParams && !strings.HasSuffix(params, ")") {
		return nil, fmt.Errorf("%w %q: a parenthesis is open", ErrResolver, named)
	}
	params = strings.TrimSuffix(params, ")")
	name, at, hasVersion := strings.Cut(name, "@")
	if name == "site-priority" && hasParams && (!hasVersion || at == "1") {
		sites, err := numbers(params)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrResolver, named, err)
		}
		return SitePriority(sites...), nil
	}
	for i := len(g.known) - 1; i >= 0; i-- {
		id := g.known[i].ID()
		if id.Name == name && (!hasVersion || at == strconv.FormatUint(uint64(id.Version), 10)) && id.Params == params {
			return g.known[i], nil
		}
	}
	return nil, fmt.Errorf("%w %q is not known here; there are %s, site-priority(…)", ErrResolver, named, g.names())
}

func (g *Registry) names() string {
	var out []string
	for _, e := range g.entries {
		out = append(out, e.ID.String())
	}
	return strings.Join(out, ", ")
}

// Entries returns what this node says of its resolvers, by name and version.
func (g *Registry) Entries() []Entry { return slices.Clone(g.entries) }

// Check compares the resolver of a table with what a peer says of it. An error, which
// wraps [ErrResolver], means that the link must not carry the table.
func (g *Registry) Check(r Resolver, peer Entry) error {
	mine := g.Entry(r)
	switch {
	case mine.ID != peer.ID:
		return fmt.Errorf("%w: here it is %v, at the peer %v: give the table one resolver", ErrResolver, mine.ID, peer.ID)
	case mine.Digest != peer.Digest:
		return fmt.Errorf("%w %v does something else here (%v) than at the peer (%v): run one build at every node, and give a changed function a new version", ErrResolver, mine.ID, mine.Digest, peer.Digest)
	}
	return nil
}

// DigestOf computes the digest of a resolver. Where it has a method
// Probes() [][]record.Version, those sets of siblings are asked about too.
func DigestOf(r Resolver) Digest {
	h := sha256.New()
	id := r.ID()
	hashBytes(h, []byte(id.Name))
	hashNumber(h, uint64(id.Version))
	hashBytes(h, []byte(id.Params))
	sets := probes()
	if p, ok := r.(interface{ Probes() [][]record.Version }); ok {
		sets = append(sets, p.Probes()...)
	}
	for _, set := range sets {
		if len(set) == 0 {
			continue
		}
		hashSettled(h, r.Settle(record.Cell{Table: record.TableFirst, Key: []byte("key")}, set))
		hashSettled(h, r.Settle(record.Cell{Table: record.TableFirst, Key: []byte("key"), Field: []byte("field")}, set))
	}
	var d Digest
	copy(d[:], h.Sum(nil))
	return d
}

// Evidence is what a site says of how it settled a cell, for its peers to compare
// (rule M5): of which writes, and what is shown of them. Sites whose evidence differs
// in Result and not in Inputs have resolvers that are not the same function.
type Evidence struct{ Inputs, Result Digest }

// EvidenceOf computes it.
func EvidenceOf(kept []record.Version, s Settled) Evidence {
	in, out := sha256.New(), sha256.New()
	for _, v := range kept {
		hashDot(in, v.Dot)
	}
	hashSettled(out, s)
	var e Evidence
	copy(e.Inputs[:], in.Sum(nil))
	copy(e.Result[:], out.Sum(nil))
	return e
}

func hashSettled(h hash.Hash, s Settled) {
	hashNumber(h, uint64(len(s.Shown)))
	for _, v := range s.Shown {
		hashBytes(h, v.Bytes)
		hashNumber(h, uint64(v.Kind))
		hashNumber(h, uint64(v.Expires))
		hashNumber(h, uint64(v.Time))
		if v.Absent {
			hashNumber(h, 1)
		}
		for _, d := range v.From {
			hashDot(h, d)
		}
	}
	hashNumber(h, uint64(len(s.Stays)))
	for _, v := range s.Stays {
		hashDot(h, v.Dot)
	}
	if s.Fault != nil {
		hashBytes(h, []byte("fault"))
	}
}

func hashDot(h hash.Hash, d version.Dot) {
	hashNumber(h, uint64(d.Origin.ID)<<32|uint64(d.Origin.Incarnation))
	hashNumber(h, d.Seq)
}

func hashNumber(h hash.Hash, n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }

func hashBytes(h hash.Hash, b []byte) {
	hashNumber(h, uint64(len(b)))
	h.Write(b)
}

// probes are the sets of siblings that every resolver is asked about. They are part
// of every digest: one more is another digest for all.
func probes() [][]record.Version {
	row, number := []byte{0x82, 0xa1, 'a', 1, 0xa1, 'b', 2}, []byte{42}
	late := probe(0, []byte("late"))
	late.Time = 9000
	gone := probe(3, nil)
	gone.Absent = true
	counted := func(i int) record.Version {
		v := probe(i, []byte{byte(i + 1)})
		v.Kind = record.KindCounter
		return v
	}
	return [][]record.Version{
		{probe(0, []byte("alone"))},
		{probe(0, []byte("b")), probe(1, []byte("a"))},
		{probe(0, row), probe(1, row[:3]), probe(2, number)},
		{late, probe(1, row), gone},
		{probe(0, number), probe(1, []byte{0xa1, 'x'}), probe(2, row), gone},
		{counted(0), counted(1), gone},
	}
}

// probe is one sibling: of another site for each i, and at times that tie and do not.
func probe(i int, value []byte) record.Version {
	return record.Version{
		Dot:  version.Dot{Origin: version.Origin{ID: uint32(i + 1), Incarnation: 1}, Seq: uint64(10 - i)},
		Time: version.Timestamp(1000 + i/2), Kind: record.KindBytes, Value: value,
	}
}

func joinNumbers(ns []uint32) string {
	var out []string
	for _, n := range ns {
		out = append(out, strconv.FormatUint(uint64(n), 10))
	}
	return strings.Join(out, ",")
}

func numbers(s string) ([]uint32, error) {
	var out []uint32
	for _, word := range strings.Split(s, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(word), 10, 32)
		if err != nil || slices.Contains(out, uint32(n)) {
			return nil, fmt.Errorf("%q is not the number of a site, or stands twice", word)
		}
		out = append(out, uint32(n))
	}
	return out, nil
}

// Entry returns what this node says of a resolver: of one that it was made with what was
// found out then, so that a function is not asked again.
func (g *Registry) Entry(r Resolver) Entry {
	for i, known := range g.known {
		if known.ID() == r.ID() {
			return g.entries[i]
		}
	}
	return Entry{r.ID(), DigestOf(r)}
}
