package call

import (
	"fmt"

	"github.com/triad-kv/triad/topology"
)

const seatFields = 5

// EncodeSeat returns the bytes of a member that is to be added.
func EncodeSeat(s topology.Seat) []byte {
	w := begin(seatFields)
	w.Str(string(s.ID))
	w.Str(s.Addr)
	w.Str(s.Site)
	w.Str(string(s.Role))
	w.Bool(s.Votes)
	return w.Bytes()
}

// DecodeSeat reads a member that is to be added.
func DecodeSeat(b []byte) (topology.Seat, error) {
	r, err := open(b, seatFields)
	if err != nil {
		return topology.Seat{}, err
	}
	s := topology.Seat{Member: topology.Member{ID: topology.NodeID(r.StrMax(nameBytesMax)), Addr: r.StrMax(nameBytesMax), Site: r.StrMax(nameBytesMax)}}
	s.Role, s.Votes = topology.MemberRole(r.StrMax(nameBytesMax)), r.Bool()
	if err := done(&r); err != nil {
		return topology.Seat{}, err
	}
	switch {
	case !s.ID.Valid():
		return s, fmt.Errorf("%q is not a node's name: %w", s.ID, topology.ErrMalformed)
	case !s.Role.Valid():
		return s, fmt.Errorf("a member's role is %q: %w", s.Role, topology.ErrMalformed)
	}
	return s, nil
}
