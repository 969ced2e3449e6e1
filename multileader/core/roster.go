package core

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Standing is what a site is in its cluster (rules M6a, M9).
type Standing uint8

const (
	// Joining: it takes what the others have, and holds back what they forget, but
	// takes no writes of clients: until all others hold back for it and it has what they
	// had forgotten by then.
	Joining  Standing = iota + 1
	Active            // it takes writes
	Retiring          // it takes no more, and leaves once the others have all of its own
	Retired           // it has left, and nothing of it is missing
	Evicting          // it is given up: the others take no more of it, and say how much they have
	Evicted           // it has left, and what the others have of it is all that counts
)

func (s Standing) String() string {
	return [...]string{"unknown", "joining", "active", "retiring", "retired", "evicting", "evicted"}[min(s, Evicted+1)%(Evicted+1)]
}

// SiteSeat is one site in a roster.
type SiteSeat struct {
	Member
	Standing Standing
	// Final is how much counts of what its ended lives have written, by origin: those
	// whose incarnation is below Life.
	Final version.Vector
	Life  uint32
	Links []Site // with whom it exchanges, where links are listed: besides those of the configuration
	Lost  []Lost // of what counts, what no site has that holds it
}

// Lost says of a life that has ended that what it wrote to a table is lost, behind After:
// sites that do not hold the table have those records, and none that does. Who holds it
// takes them without (rule M6a).
type Lost struct {
	Origin version.Origin
	Table  record.TableID
	After  uint64
}

// IsLost reports whether what a record wrote to a table is lost.
func (r *Roster) IsLost(d version.Dot, t record.TableID) bool {
	s := r.Numbered(d.Origin.ID)
	return s != nil && slices.ContainsFunc(s.Lost, func(l Lost) bool {
		return l.Origin == d.Origin && l.Table == t && d.Seq > l.After
	})
}

// Roster is the document that says which sites there are (rule K5): a number is in it
// for good, and given to no other site. The sites agree on every version of it by their
// logs, see [Council].
type Roster struct {
	Version uint64 // from 1: what the configuration says
	Seats   []SiteSeat
	Cause   string // of this version, in a few words
}

// Founding returns the roster of a configuration.
func Founding(members []Member) *Roster {
	r := &Roster{Version: 1, Cause: "configured"}
	for _, m := range members {
		r.Seats = append(r.Seats, SiteSeat{Member: m, Standing: Active})
	}
	r.sort()
	return r
}

func (r *Roster) sort() {
	slices.SortFunc(r.Seats, func(a, b SiteSeat) int { return cmp.Compare(a.Number, b.Number) })
}

// Seat returns what is said of a site, nil if it is not among them.
func (r *Roster) Seat(name Site) *SiteSeat {
	if r == nil {
		return nil
	}
	if i := slices.IndexFunc(r.Seats, func(s SiteSeat) bool { return s.Site == name }); i >= 0 {
		return &r.Seats[i]
	}
	return nil
}

// Numbered returns what is said of the site of a number, nil if there is none.
func (r *Roster) Numbered(id uint32) *SiteSeat {
	if r == nil {
		return nil
	}
	if i := slices.IndexFunc(r.Seats, func(s SiteSeat) bool { return s.Number == id }); i >= 0 {
		return &r.Seats[i]
	}
	return nil
}

// Here reports whether a site exchanges with others.
func (s *SiteSeat) Here() bool {
	return s.Standing == Joining || s.Standing == Active || s.Standing == Retiring
}

// votes reports whether it is asked about the next version.
func (s *SiteSeat) votes() bool { return s.Standing == Active || s.Standing == Retiring }

// Voters are those who decide about the next version.
func (r *Roster) Voters() (sites []Site) {
	for i := range r.Seats {
		if r.Seats[i].votes() {
			sites = append(sites, r.Seats[i].Site)
		}
	}
	return sites
}

// Holders are the numbers of the sites that hold back what can be forgotten, where
// applied is what stands here: those that have left too, until all that counts of theirs
// is here (rule M6a).
func (r *Roster) Holders(applied version.Vector) (ids []uint32) {
	for i := range r.Seats {
		s := &r.Seats[i]
		if s.Here() || s.Standing == Evicting || !applied.Descends(s.Final) {
			ids = append(ids, s.Number)
		}
	}
	return ids
}

// Digest tells two rosters of one version apart.
func (r *Roster) Digest() [8]byte {
	sum := sha256.Sum256(r.Encode())
	return [8]byte(sum[:8])
}

// change returns a copy with the next version, in which f has changed a site.
func (r *Roster) change(name Site, cause string, f func(*SiteSeat) error) (*Roster, error) {
	out := &Roster{Version: r.Version + 1, Seats: slices.Clone(r.Seats), Cause: cause}
	s := out.Seat(name)
	if s == nil {
		return nil, fmt.Errorf("%w: site %s; `triad site list` shows them", topology.ErrNotFound, name)
	}
	if err := f(s); err != nil {
		return nil, err
	}
	return out, nil
}

// ErrAsIs is the answer to a change that the roster has already.
var ErrAsIs = fmt.Errorf("it is so already")

func wrong(s *SiteSeat, why string) error {
	return fmt.Errorf("%w: site %s is %v: %s", topology.ErrConflict, s.Site, s.Standing, why)
}

// SitesMax bounds the sites of a roster, those that have left included.
const SitesMax = 64

// Add returns the roster in which a site joins: a new one, with the next number, or one
// that has left, in a new life.
func (r *Roster) Add(name Site, links []Site) (*Roster, error) {
	if r.Seat(name) != nil {
		return r.change(name, fmt.Sprintf("%s joins again", name), func(s *SiteSeat) error {
			switch s.Standing {
			case Joining:
				return ErrAsIs
			case Retired, Evicted:
				s.Standing, s.Links = Joining, links
				return nil
			}
			return wrong(s, "it takes part already")
		})
	}
	if len(r.Seats) >= SitesMax {
		return nil, fmt.Errorf("%w: %d sites have numbers, and no more can be given out", topology.ErrTooLarge, SitesMax)
	}
	out := &Roster{Version: r.Version + 1, Seats: slices.Clone(r.Seats), Cause: fmt.Sprintf("%s joins", name)}
	number := uint32(0)
	for i := range r.Seats {
		number = max(number, r.Seats[i].Number)
	}
	out.Seats = append(out.Seats, SiteSeat{Member: Member{Site: name, Number: number + 1}, Standing: Joining, Links: links})
	out.sort()
	return out, nil
}

// Activate returns the roster in which a site takes writes.
func (r *Roster) Activate(name Site) (*Roster, error) {
	return r.change(name, fmt.Sprintf("%s has all and takes writes", name), func(s *SiteSeat) error {
		switch s.Standing {
		case Active:
			return ErrAsIs
		case Joining:
			s.Standing = Active
			return nil
		}
		return wrong(s, "it does not join")
	})
}

// Retire returns the roster in which a site begins to leave. The last one stays.
func (r *Roster) Retire(name Site) (*Roster, error) {
	return r.change(name, fmt.Sprintf("%s is to leave", name), func(s *SiteSeat) error {
		switch s.Standing {
		case Retiring, Retired:
			return ErrAsIs
		case Joining, Active:
			if len(r.Voters()) == 1 && s.Standing == Active {
				return wrong(s, "no other site takes writes")
			}
			s.Standing = Retiring
			return nil
		}
		return wrong(s, "it is gone already")
	})
}

// Retired returns the roster in which a site has left, of which final is all.
func (r *Roster) Retired(name Site, final version.Vector) (*Roster, error) {
	return r.change(name, fmt.Sprintf("%s has left, all of it is everywhere", name), func(s *SiteSeat) error {
		switch s.Standing {
		case Retired:
			return ErrAsIs
		case Retiring:
			s.end(Retired, final)
			return nil
		}
		return wrong(s, "it is not to leave")
	})
}

// Evict returns the roster in which a site is given up.
func (r *Roster) Evict(name Site) (*Roster, error) {
	return r.change(name, fmt.Sprintf("%s is given up", name), func(s *SiteSeat) error {
		switch s.Standing {
		case Evicting, Evicted:
			return ErrAsIs
		case Retired:
			return wrong(s, "nothing of it is missing")
		}
		if voters := r.Voters(); len(voters) == 1 && voters[0] == name {
			return wrong(s, "no other site takes writes")
		}
		s.Standing = Evicting
		return nil
	})
}

// Evicted returns the roster in which a site was given up, final is what counts of its
// writes, and lost what of that is nowhere.
func (r *Roster) Evicted(name Site, final version.Vector, lost ...Lost) (*Roster, error) {
	cause := fmt.Sprintf("%s is out", name)
	if len(lost) > 0 {
		cause += fmt.Sprintf(", and with it the last that it wrote to %d tables which others do not hold", len(lost))
	}
	return r.change(name, cause, func(s *SiteSeat) error {
		switch s.Standing {
		case Evicted:
			return ErrAsIs
		case Evicting:
			s.end(Evicted, final)
			s.Lost = append(slices.Clone(s.Lost), lost...)
			return nil
		}
		return wrong(s, "it is not given up")
	})
}

func (s *SiteSeat) end(as Standing, final version.Vector) {
	s.Standing = as
	for _, m := range final {
		if m.Origin.ID == s.Number {
			s.Final = s.Final.With(m.Origin, max(m.Seq, s.Final.Get(m.Origin)))
			s.Life = max(s.Life, m.Origin.Incarnation+1)
		}
	}
}

// A roster is an array of four: format, version, cause, seats; a seat is seven in a row:
// site, number, standing, life, final (3n: id, incarnation, seq), links; in format 2, which
// is there where something is lost, eight with that (4n: id, incarnation, table, after).
const (
	rosterFormat  = 1
	rosterLost    = 2
	rosterFields  = 4
	seatFields    = 6
	lostMax       = 1 << 10 // of a seat
	causeBytesMax = 256
)

// Encode returns a roster's bytes.
func (r *Roster) Encode() []byte {
	w := pack.NewWriter(nil)
	format := uint64(rosterFormat)
	if slices.ContainsFunc(r.Seats, func(s SiteSeat) bool { return len(s.Lost) > 0 }) {
		format = rosterLost
	}
	w.Array(rosterFields)
	w.Uint(format)
	w.Uint(r.Version)
	w.Str(r.Cause[:min(len(r.Cause), causeBytesMax)])
	w.Array(seatWidth(format) * len(r.Seats))
	for i := range r.Seats {
		s := &r.Seats[i]
		w.Str(string(s.Site))
		w.Uint(uint64(s.Number))
		w.Uint(uint64(s.Standing))
		w.Uint(uint64(s.Life))
		w.Array(3 * len(s.Final))
		for _, m := range s.Final {
			w.Uint(uint64(m.Origin.ID))
			w.Uint(uint64(m.Origin.Incarnation))
			w.Uint(m.Seq)
		}
		w.Array(len(s.Links))
		for _, l := range s.Links {
			w.Str(string(l))
		}
		if format == rosterLost {
			putLost(w, s.Lost)
		}
	}
	return w.Bytes()
}

func seatWidth(format uint64) int { return seatFields + int(format-rosterFormat) }

func putLost(w *pack.Writer, lost []Lost) {
	w.Array(4 * len(lost))
	for _, l := range lost {
		w.Uint(uint64(l.Origin.ID))
		w.Uint(uint64(l.Origin.Incarnation))
		w.Uint(uint64(l.Table))
		w.Uint(l.After)
	}
}

func getLost(r *pack.Reader) (lost []Lost) {
	n := r.ArrayMax(4 * lostMax)
	if n%4 != 0 {
		r.Fail("what is lost is not whole")
	}
	for n /= 4; n > 0 && r.Err() == nil; n-- {
		o := version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
		lost = append(lost, Lost{Origin: o, Table: record.TableID(r.UintMax(math.MaxUint32)), After: r.Uint()})
	}
	return lost
}

// DecodeRoster reads one. An error wraps [topology.ErrMalformed] or
// [topology.ErrUnsupported].
func DecodeRoster(b []byte) (*Roster, error) {
	rd := pack.NewReader(b)
	rd.ArrayOf(rosterFields)
	f := rd.Uint()
	if rd.Err() == nil && (f < rosterFormat || f > rosterLost) {
		return nil, fmt.Errorf("a roster of sites has format %d, this version knows %d to %d: %w", f, rosterFormat, rosterLost, topology.ErrUnsupported)
	}
	r := &Roster{Version: rd.Uint(), Cause: rd.StrMax(causeBytesMax)}
	width := seatWidth(max(f, rosterFormat))
	n := rd.ArrayMax(width * SitesMax)
	if n%width != 0 || r.Version == 0 {
		rd.Fail("seats are not whole")
	}
	lost := 0
	for n /= width; n > 0 && rd.Err() == nil; n-- {
		s := SiteSeat{Member: Member{Site: Site(rd.StrMax(siteBytesMax)), Number: uint32(rd.UintMax(math.MaxUint32))}}
		s.Standing = Standing(rd.UintMax(uint64(Evicted)))
		s.Life = uint32(rd.UintMax(math.MaxUint32))
		k := rd.ArrayMax(3 * record.MarksMax)
		for ; k >= 3 && rd.Err() == nil; k -= 3 {
			o := version.Origin{ID: uint32(rd.UintMax(math.MaxUint32)), Incarnation: uint32(rd.UintMax(math.MaxUint32))}
			s.Final = append(s.Final, version.Mark{Origin: o, Seq: rd.Uint()})
		}
		if k != 0 || !s.Final.Valid() {
			rd.Fail("what counts of a site is no vector in canonical form")
		}
		for k = rd.ArrayMax(SitesMax); k > 0 && rd.Err() == nil; k-- {
			s.Links = append(s.Links, Site(rd.StrMax(siteBytesMax)))
		}
		if f == rosterLost {
			s.Lost = getLost(&rd)
			lost += len(s.Lost)
		}
		if p := len(r.Seats); s.Standing == 0 || s.Number == 0 || !topology.NodeID(s.Site).Valid() || p > 0 && r.Seats[p-1].Number >= s.Number || r.Seat(s.Site) != nil {
			rd.Fail("seats are not in order")
		}
		r.Seats = append(r.Seats, s)
	}
	if f == rosterLost && lost == 0 {
		rd.Fail("nothing is lost")
	}
	if err := rd.Done(); err != nil {
		return nil, fmt.Errorf("a roster of sites: %w: %w", topology.ErrMalformed, err)
	}
	return r, nil
}
