package core

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// The sites agree on the next version of their roster as in single-decree Paxos, one
// decree a version: the sites that vote in a version are the acceptors of the next one,
// and what a site has promised and accepted is a note in its log, which its own policy
// makes durable and its next leader knows. So there is no further log, election or quorum
// of nodes, and a site that lost its leader a moment ago has lost no vote.

// Ballot is an attempt to agree, greater ones over lesser. The zero Ballot is none.
type Ballot struct {
	Round  uint64
	Number uint32 // of the site that tries
}

// Compare orders ballots.
func (b Ballot) Compare(o Ballot) int {
	return cmp.Or(cmp.Compare(b.Round, o.Round), cmp.Compare(b.Number, o.Number))
}

// Council is what a site has promised and accepted about one version of the roster.
type Council struct {
	Version  uint64
	Promised Ballot
	Accepted Ballot
	Value    []byte // a roster that was accepted
}

// AskKind says what one site's leader asks another's.
type AskKind uint8

const (
	AskRoster  AskKind = iota + 1 // what is your roster, and what do you have?
	AskPrepare                    // promise to take nothing below Ballot; what have you accepted?
	AskAccept                     // accept Value
	AskLearn                      // Value is agreed upon
)

// Ask is a question, Reply its answer. Both travel as msgpack.
type Ask struct {
	Kind    AskKind
	From    Site
	Version uint64 // which is to be agreed upon
	Ballot  Ballot
	Value   []byte
}

// Reply is what a site says. It counts once the site's log is committed up to where it
// stood then.
type Reply struct {
	OK     bool
	Roster []byte // the newest that it knows
	Council
	Marks []Mark // what its log holds
}

// answer answers one, and notes what it promises by that (rule K5).
func answer(c *Core, a *Ask) Reply {
	r := Reply{}
	switch next := c.roster.Version + 1; {
	case c.Term == 0:
	case a.Kind == AskLearn:
		v, err := DecodeRoster(a.Value)
		r.OK = err == nil && (learn(c, v) || v.Version <= c.roster.Version)
	case a.Kind == AskRoster:
		r.OK = true
	case a.Version != next:
	default:
		r.OK = vote(c, a)
	}
	r.Council, r.Roster, r.Marks = c.council, c.roster.Encode(), c.log.placedMarks()
	return r
}

// vote promises or accepts, if that is what was asked and nothing greater was promised.
func vote(c *Core, a *Ask) bool {
	now := c.council
	if now.Version != a.Version {
		now = Council{Version: a.Version}
	}
	switch {
	case a.Kind == AskPrepare && a.Ballot.Compare(now.Promised) > 0:
		now.Promised = a.Ballot
	case a.Kind == AskAccept && a.Ballot.Compare(now.Promised) >= 0:
		if v, err := DecodeRoster(a.Value); err != nil || v.Version != a.Version {
			return false
		}
		now.Promised, now.Accepted, now.Value = a.Ballot, a.Ballot, a.Value
	default:
		return false
	}
	noteOf(c, record.MarkCouncil, now.encode())
	return true
}

// Pending returns the roster that this site has accepted as the next one, and of which it
// has not heard that it was agreed upon; nil if there is none. Whoever tried may have died,
// or have forgotten it with the tail of its log: somebody has to find out.
func Pending(c *Core) *Roster {
	if c.council.Accepted == (Ballot{}) {
		return nil
	}
	r, err := DecodeRoster(c.council.Value)
	if err != nil {
		return nil
	}
	return r
}

// learn takes a roster that was agreed upon, if it is newer. It reports whether it was.
func learn(c *Core, r *Roster) bool {
	if c.Term == 0 || r.Version <= c.roster.Version {
		return false
	}
	noteOf(c, record.MarkRoster, r.Encode())
	return true
}

// noteOf puts a note of one mark in the log.
func noteOf(c *Core, mark string, value []byte) {
	c.append(record.Record{
		Time: c.clock.Now(), Term: c.Term,
		Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(mark), Value: value}},
	})
}

// Assembly is what the notes of a log come to of its site's roster, and of what it has
// voted for the next one.
type Assembly struct {
	Roster  *Roster // nil: none was noted
	Council Council
}

// Add returns what a comes to with the note r.
func (a Assembly) Add(r *record.Record) (Assembly, bool, error) {
	if !r.IsNote() {
		return a, false, nil
	}
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if m.Op != record.OpMark || m.Table != record.TableSystem {
			continue
		}
		switch string(m.Key) {
		case record.MarkRoster:
			v, err := DecodeRoster(slices.Clone(m.Value))
			if err != nil {
				return a, false, err
			}
			if a.Roster == nil || v.Version > a.Roster.Version {
				a.Roster = v
			}
			if a.Council.Version <= v.Version {
				a.Council = Council{}
			}
			return a, true, nil
		case record.MarkCouncil:
			v, err := DecodeCouncil(m.Value)
			if err != nil {
				return a, false, err
			}
			a.Council = v
			return a, true, nil
		}
	}
	return a, false, nil
}

const (
	councilFormat = 1
	councilFields = 7
	valueBytesMax = 1 << 20 // of a roster
)

func (c *Council) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(councilFields)
	w.Uint(councilFormat)
	c.put(w)
	return w.Bytes()
}

func (c *Council) put(w *pack.Writer) {
	w.Uint(c.Version)
	putBallot(w, c.Promised)
	putBallot(w, c.Accepted)
	w.Bin(c.Value)
}

func putBallot(w *pack.Writer, b Ballot) {
	w.Uint(b.Round)
	w.Uint(uint64(b.Number))
}

func getBallot(r *pack.Reader) Ballot {
	return Ballot{Round: r.Uint(), Number: uint32(r.UintMax(math.MaxUint32))}
}

func getCouncil(r *pack.Reader) Council {
	return Council{Version: r.Uint(), Promised: getBallot(r), Accepted: getBallot(r), Value: slices.Clone(r.BinMax(valueBytesMax))}
}

// Encode returns what is kept of a council.
func (c *Council) Encode() []byte { return c.encode() }

// DecodeCouncil reads it.
func DecodeCouncil(b []byte) (Council, error) {
	r := pack.NewReader(b)
	r.ArrayOf(councilFields)
	if f := r.Uint(); r.Err() == nil && f != councilFormat {
		return Council{}, fmt.Errorf("what a site has voted has format %d, this version knows %d: %w", f, councilFormat, topology.ErrUnsupported)
	}
	c := getCouncil(&r)
	if err := r.Done(); err != nil {
		return Council{}, fmt.Errorf("what a site has voted: %w: %w", topology.ErrMalformed, err)
	}
	return c, nil
}

const (
	askFields   = 7
	replyFields = 10
)

// Encode returns a question's bytes: format, kind, from, version, ballot (2), value.
func (a *Ask) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(askFields)
	w.Uint(councilFormat)
	w.Uint(uint64(a.Kind))
	w.Str(string(a.From))
	w.Uint(a.Version)
	putBallot(w, a.Ballot)
	w.Bin(a.Value)
	return w.Bytes()
}

// DecodeAsk reads a question.
func DecodeAsk(b []byte) (*Ask, error) {
	r := pack.NewReader(b)
	r.ArrayOf(askFields)
	if f := r.Uint(); r.Err() == nil && f != councilFormat {
		return nil, fmt.Errorf("a question between sites has format %d, this version knows %d: %w", f, councilFormat, topology.ErrUnsupported)
	}
	a := &Ask{Kind: AskKind(r.UintMax(uint64(AskLearn))), From: Site(r.StrMax(siteBytesMax)), Version: r.Uint(), Ballot: getBallot(&r), Value: slices.Clone(r.BinMax(valueBytesMax))}
	if err := r.Done(); err != nil || a.Kind == 0 {
		return nil, fmt.Errorf("a question between sites: %w: %w", topology.ErrMalformed, err)
	}
	return a, nil
}

// Encode returns an answer's bytes: format, ok, roster, the council (6), marks (4n).
func (p *Reply) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(replyFields)
	w.Uint(councilFormat)
	w.Bool(p.OK)
	w.Bin(p.Roster)
	p.put(w)
	w.Array(4 * len(p.Marks))
	for _, m := range p.Marks {
		putMark(w, m)
	}
	return w.Bytes()
}

// DecodeReply reads an answer.
func DecodeReply(b []byte) (*Reply, error) {
	r := pack.NewReader(b)
	r.ArrayOf(replyFields)
	if f := r.Uint(); r.Err() == nil && f != councilFormat {
		return nil, fmt.Errorf("an answer between sites has format %d, this version knows %d: %w", f, councilFormat, topology.ErrUnsupported)
	}
	p := &Reply{OK: r.Bool(), Roster: slices.Clone(r.BinMax(valueBytesMax)), Council: getCouncil(&r)}
	p.Marks = getMarks(&r, record.MarksMax)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("an answer between sites: %w: %w", topology.ErrMalformed, err)
	}
	return p, nil
}
