package transport

import (
	"fmt"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// routes says who answers what. Handlers are registered before Run and only
// looked up from then on.
type routes struct {
	mu      sync.Mutex
	sealed  bool
	misuse  error // the first registration that was wrong
	calls   map[string]callRoute
	streams map[string]topology.StreamHandler
	open    map[string]bool // streams that clients may open, too
}

type callRoute struct {
	roles  topology.PeerRoles
	handle topology.CallHandler
}

// HandleCall answers a method. Registering one twice, for no role or without a
// handler is a mistake, which Run returns; after Run has begun nothing is
// registered, and the log says so.
func (t *Transport) HandleCall(method string, roles topology.PeerRoles, h topology.CallHandler) {
	r := &t.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.calls[method]
	switch {
	case r.sealed:
		t.log.Error("a method was registered after Run began", "method", method)
	case roles&(topology.PeerNode|topology.PeerClient) == 0:
		r.wrong("method", method, "is for no role")
	case r.check("method", method, there, h == nil):
		r.calls[method] = callRoute{roles: roles, handle: h}
	}
}

// HandleStream serves a protocol. What is a mistake for HandleCall is one here.
func (t *Transport) HandleStream(protocol string, h topology.StreamHandler) {
	r := &t.routes
	r.mu.Lock()
	defer r.mu.Unlock()
	_, there := r.streams[protocol]
	switch {
	case r.sealed:
		t.log.Error("a protocol was registered after Run began", "protocol", protocol)
	case r.check("protocol", protocol, there, h == nil):
		r.streams[protocol] = h
	}
}

// HandleClientStream serves a protocol to clients as well as to nodes.
func (t *Transport) HandleClientStream(protocol string, h topology.StreamHandler) {
	t.HandleStream(protocol, h)
	t.routes.mu.Lock()
	defer t.routes.mu.Unlock()
	t.routes.open[protocol] = !t.routes.sealed
}

func (r *routes) check(what, name string, there, none bool) bool {
	switch {
	case there:
		r.wrong(what, name, "was registered twice")
	case none:
		r.wrong(what, name, "has no handler")
	case name == "" || len(name) > nameBytesMax:
		r.wrong(what, name, fmt.Sprintf("has a name of %d bytes: one to %d", len(name), nameBytesMax))
	default:
		return true
	}
	return false
}

func (r *routes) wrong(what, name, why string) {
	if r.misuse == nil {
		r.misuse = fmt.Errorf("%s %.80q %s", what, name, why)
	}
}

// seal ends registration and returns what was wrong with it.
func (r *routes) seal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
	return r.misuse
}

// call returns who answers a method for a peer of that role.
func (r *routes) call(method string, role topology.PeerRole) (topology.CallHandler, error) {
	c, there := r.calls[method]
	switch {
	case !there && role == topology.PeerNode:
		return nil, fmt.Errorf("method %q: %w", method, topology.ErrUnsupported)
	case !there || c.roles&role == 0: // a client is not told what there is
		return nil, fmt.Errorf("method %q: %w", method, topology.ErrDenied)
	}
	return c.handle, nil
}

// admits reports whether a client may open a stream of that protocol.
func (r *routes) admits(protocol string) bool { return r.open[protocol] }

func (r *routes) stream(protocol string) topology.StreamHandler { return r.streams[protocol] }
