package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/topology"
)

const (
	orderBytesMax = 4 << 10         // of the body of an order
	orderWait     = 8 * time.Second // that an order may take: less than the port gives an answer
)

// order is the body of any order. Each order takes its own of these fields.
type order struct {
	To     topology.NodeID `json:"to"`
	Force  bool            `json:"force"`
	Paused *bool           `json:"paused"`

	At     uint64    `json:"at"`
	Time   time.Time `json:"time"`
	GiveUp uint64    `json:"give_up"`

	Node topology.NodeID     `json:"node"`
	Addr string              `json:"addr"`
	Site string              `json:"site"`
	Role topology.MemberRole `json:"role"`
	Vote bool                `json:"vote"`
}

// orders are what an operator may order, by path: the fields of the body, and what
// is done.
var orders = map[string]ordering{
	"/api/v1/failover":   {"to force", failover},
	"/api/v1/switchover": {"to", switchover},
	"/api/v1/pause":      {"paused", pause},
	"/api/v1/restore":    {"to at time give_up", restore},

	"/api/v1/member/add":    {"node addr site role vote", addMember},
	"/api/v1/member/remove": {"node", removeMember},
}

type ordering struct {
	fields string
	do     func(context.Context, *Admin, order) (any, error)
}

// Promoted is the answer to a change of leader.
type Promoted struct {
	Leader   topology.NodeID   `json:"leader"`
	Term     uint64            `json:"term"`
	StartLSN uint64            `json:"start_lsn"`
	Reached  []topology.NodeID `json:"reached"`
	Missed   []topology.NodeID `json:"missed"`
}

// PromotedOf is p with names for JSON.
func PromotedOf(p topology.Promotion) Promoted {
	v := Promoted{Leader: p.Leader, Term: p.Term, StartLSN: uint64(p.Start), Reached: p.Reached, Missed: p.Missed}
	if v.Reached == nil {
		v.Reached = []topology.NodeID{}
	}
	if v.Missed == nil {
		v.Missed = []topology.NodeID{}
	}
	return v
}

func failover(ctx context.Context, a *Admin, o order) (any, error) {
	if self := a.o.Status().Node; o.To != "" && o.To != self {
		return nil, fmt.Errorf("%w: this is the port of %s: ask that of %s, which is to lead", errElsewhere, self, o.To)
	}
	p, err := a.o.Orders.Promote(ctx, o.Force)
	return PromotedOf(p), err
}

func switchover(ctx context.Context, a *Admin, o order) (any, error) {
	if !o.To.Valid() {
		return nil, fmt.Errorf("%w: to: %q is not a node's name", topology.ErrMalformed, o.To)
	}
	p, err := a.o.Orders.Switchover(ctx, o.To)
	return PromotedOf(p), err
}

func pause(ctx context.Context, a *Admin, o order) (any, error) {
	if o.Paused == nil {
		return nil, fmt.Errorf("%w: paused: true or false is wanted", topology.ErrMalformed)
	}
	return map[string]bool{"paused": *o.Paused}, a.o.Orders.Pause(ctx, *o.Paused)
}

func addMember(ctx context.Context, a *Admin, o order) (any, error) {
	s := topology.Seat{Member: topology.Member{ID: o.Node, Addr: o.Addr, Site: o.Site}, Role: cmp.Or(o.Role, topology.MemberVoter), Votes: o.Vote}
	switch {
	case !s.ID.Valid():
		return nil, fmt.Errorf("%w: node: %q is not a node's name", topology.ErrMalformed, o.Node)
	case !s.Role.Valid():
		return nil, fmt.Errorf("%w: role: %q is none", topology.ErrMalformed, o.Role)
	}
	return map[string]topology.NodeID{"added": o.Node}, a.o.Orders.AddMember(ctx, s)
}

func removeMember(ctx context.Context, a *Admin, o order) (any, error) {
	if !o.Node.Valid() {
		return nil, fmt.Errorf("%w: node: %q is not a node's name", topology.ErrMalformed, o.Node)
	}
	return map[string]topology.NodeID{"removed": o.Node}, a.o.Orders.RemoveMember(ctx, o.Node)
}

// errElsewhere says that another node's port is to be asked.
var errElsewhere = errors.New("misdirected")

// Refused is the answer to an order that failed.
type Refused struct {
	Error   string          `json:"error"`
	Outcome string          `json:"outcome"` // not applied, or outcome unknown
	Leader  topology.NodeID `json:"leader,omitempty"`
}

// ordered carries out an order of who has brought the token.
func (a *Admin) ordered(g ordering) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.o.Token == "" {
			// Whoever is on this machine may look; a web page or a neighbour must not
			// be able to move leaders.
			answer(w, http.StatusForbidden, Refused{Error: "orders need a token, and this node has none: set admin.token_file", Outcome: topology.NotApplied.String()})
			return
		}
		o, err := readOrder(w, r, g.fields)
		if err == nil && a.o.Orders == nil {
			err = fmt.Errorf("this port takes no orders: %w", topology.ErrUnsupported)
		}
		if err != nil {
			answer(w, codeOf(err), Refused{Error: err.Error(), Outcome: topology.NotApplied.String()})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), orderWait)
		defer cancel()
		done, err := g.do(ctx, a, o)
		a.o.Logger.Info("order", "path", r.URL.Path, "to", o.To, "node", o.Node, "force", o.Force, "from", r.RemoteAddr, "err", err)
		if err != nil {
			answer(w, codeOf(err), refusedOf(err))
			return
		}
		answer(w, http.StatusOK, done)
	})
}

func refusedOf(err error) Refused {
	v := Refused{Error: err.Error(), Outcome: topology.OutcomeOf(err).String()}
	if errors.Is(err, errElsewhere) || errors.Is(err, topology.ErrMalformed) {
		v.Outcome = topology.NotApplied.String()
	}
	var e *topology.Error
	if errors.As(err, &e) {
		v.Leader = e.Leader
	}
	return v
}

// readOrder reads a body, of at most the named fields.
func readOrder(w http.ResponseWriter, r *http.Request, fields string) (order, error) {
	var o order
	if r.URL.RawQuery != "" {
		return o, fmt.Errorf("%w: an order stands in the body, not in the query", topology.ErrMalformed)
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, orderBytesMax))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return o, fmt.Errorf("%w: more than %d bytes", topology.ErrTooLarge, orderBytesMax)
	case err != nil:
		return o, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	case len(b) == 0:
		return o, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(b, &given); err != nil {
		return o, fmt.Errorf("%w: the body is no JSON object: %w", topology.ErrMalformed, err)
	}
	for key := range given {
		if !slices.Contains(strings.Fields(fields), key) {
			return o, fmt.Errorf("%w: there is no %.32q here; there is: %s", topology.ErrMalformed, key, fields)
		}
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	return o, nil
}

// codeOf is the status of an answer to an order that failed.
func codeOf(err error) int {
	for _, c := range []struct {
		is   error
		code int
	}{
		{errElsewhere, http.StatusMisdirectedRequest},
		{topology.ErrNotLeader, http.StatusMisdirectedRequest},
		{topology.ErrMalformed, http.StatusBadRequest},
		{topology.ErrNotFound, http.StatusNotFound},
		{topology.ErrTooLarge, http.StatusRequestEntityTooLarge},
		{topology.ErrUnsupported, http.StatusNotImplemented},
		{topology.ErrConflict, http.StatusConflict},
		{topology.ErrTimeout, http.StatusGatewayTimeout},
		{topology.ErrUnavailable, http.StatusServiceUnavailable},
		{topology.ErrClosed, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	return http.StatusInternalServerError
}
