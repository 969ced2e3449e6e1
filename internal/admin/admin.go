// Package admin answers about one node over HTTP: whether the process is well,
// what the node can be used for, and what it knows of itself; and it takes what an
// operator orders. Health and roles answer GET, HEAD and OPTIONS with 200 for yes
// and 503 for no, as balancers ask:
//
//	/livez /healthz   while the node works, until it has failed
//	/readyz           while it leads or follows and has its tables, until it drains
//	/leader           while it leads, and as many as a commit needs answer it
//	/replica          while it follows, as a read replica or otherwise, see below
//	/sync             while it follows, and commits wait for it or may count it
//	/read-replica     while it is a read replica, see below
//
// What follows is for who may ask:
//
//	GET  /status              JSON, see [Status]: what this node knows
//	GET  /api/v1/status       JSON, see [Overview]: all nodes that answer
//	GET  /api/v1/failover/explain  JSON, see [Explained]: who would lead if the leader failed
//	GET  /metrics             as Prometheus reads it
//	POST /api/v1/failover     {"to": NODE, "force": false}, of the node that is to lead
//	POST /api/v1/switchover   {"to": NODE}, of the leader
//	POST /api/v1/pause        {"paused": true}
//
// It promises that nobody but who may ask learns more than a health check needs
// (bad input 113): health answers everybody, in a word; everything else wants the
// token or, where there is none, a client on this machine that asks for this
// machine by a name no other can have, which a web page cannot fake; and what
// changes anything wants the token in any case. It assumes that the status function never waits. Every connection, header and wait has a
// limit.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/topology"
)

// Limits of the port.
const (
	connectionsMax = 64       // at once; more wait in the kernel
	headerBytesMax = 16 << 10 // of a request
	headerWait     = 5 * time.Second
	requestWait    = 10 * time.Second // from its first byte to the last of the answer
	idleWait       = 30 * time.Second // between two requests of a connection
	endWait        = time.Second      // for requests under way when the port ends
)

// Options say whom to ask and who may.
type Options struct {
	Status  func() topology.Status                              // of the node; it never waits
	Counts  func() topology.Counts                              // of the node, for /metrics; it never waits
	Survey  func(context.Context) []Answer                      // of all nodes; default: of this one alone
	Explain func(context.Context) (topology.Explanation, error) // nil: nobody can tell who would lead
	Restart func() error                                        // why the node is not to be restarted now; nil: it can not tell
	Orders  Orders                                              // nil: none is taken
	Version string                                              // of the program
	Token   string                                              // that a request for more than health carries: Authorization: Bearer TOKEN
	Logger  *slog.Logger                                        // default: says nothing
}

// Orders is what an operator may order of a node.
type Orders interface {
	// Promote makes this node the leader.
	Promote(ctx context.Context, force bool) (topology.Promotion, error)
	topology.Switcher
	topology.Pauser
	// AddMember and RemoveMember change who is in the group, as in
	// [topology.MemberChanger].
	AddMember(ctx context.Context, s topology.Seat) error
	RemoveMember(ctx context.Context, id topology.NodeID) error
}

// Admin is the port. Its methods may be called from any goroutine.
type Admin struct {
	o        Options
	token    [sha256.Size]byte
	metrics  http.Handler
	draining atomic.Bool
}

// New returns a port that serves nothing yet.
func New(o Options) *Admin {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Counts == nil {
		o.Counts = func() topology.Counts { return topology.Counts{} }
	}
	if o.Survey == nil {
		o.Survey = func(context.Context) []Answer { return []Answer{{Status: o.Status()}} }
	}
	return &Admin{o: o, token: sha256.Sum256([]byte(o.Token)), metrics: metricsOf(&o)}
}

// Drain makes the node not ready from now on, so that nobody sends it more.
func (a *Admin) Drain() { a.draining.Store(true) }

// Serve answers on l until ctx ends (nil), or l fails. It closes l and waits for
// everything it started.
func (a *Admin) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{
		Handler: a.Handler(), ReadHeaderTimeout: headerWait, ReadTimeout: requestWait, WriteTimeout: requestWait,
		IdleTimeout: idleWait, MaxHeaderBytes: headerBytesMax, ErrorLog: slog.NewLogLogger(a.o.Logger.Handler(), slog.LevelDebug),
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.Serve(limit(l, connectionsMax)); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
		defer cancel()
		if s.Shutdown(end) != nil {
			return s.Close() // who has not finished by now is cut off
		}
		return nil
	})
	return g.Wait()
}

// Handler is what the port answers.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, f := range probes {
		h := a.probe(f)
		for _, method := range []string{http.MethodGet, http.MethodOptions} { // GET takes HEAD too
			mux.Handle(method+" "+path, h)
		}
	}
	mux.Handle("/", a.guarded())
	return mux
}

// guarded is everything that does not answer everybody.
func (a *Admin) guarded() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", a.status)
	mux.HandleFunc("GET /restartable", a.restartable)
	mux.HandleFunc("GET /api/v1/status", a.overview)
	mux.HandleFunc("GET /api/v1/failover/explain", a.explain)
	mux.Handle("GET /metrics", a.metrics)
	for path, order := range orders {
		mux.Handle("POST "+path, a.ordered(order))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.may(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this needs the token of the admin port", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// may reports whether the request may ask for more than health.
func (a *Admin) may(r *http.Request) bool {
	if a.o.Token == "" {
		return here(r.RemoteAddr) && here(r.Host)
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	return ok && subtle.ConstantTimeCompare(sum[:], a.token[:]) == 1
}

// here reports whether an address, with a port or without, is of this machine and
// of no other.
func here(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = strings.Trim(addr, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, StatusOf(a.o.Status()))
}

// restartable is 200 where this node may be stopped and started again now, and 503 with
// the reason where not.
func (a *Admin) restartable(w http.ResponseWriter, _ *http.Request) {
	err := topology.ErrUnsupported
	if a.o.Restart != nil {
		err = a.o.Restart()
	}
	switch {
	case err == nil:
		answer(w, http.StatusOK, map[string]any{"restartable": true})
	case errors.Is(err, topology.ErrUnsupported):
		http.Error(w, "this topology does not tell: one leader orders all writes, and its status says who is in sync", http.StatusNotImplemented)
	default:
		answer(w, http.StatusServiceUnavailable, map[string]any{"restartable": false, "why": err.Error()})
	}
}

// surveyWait bounds the question to all nodes: one that hangs must not keep the
// others from being shown.
const surveyWait = 3 * time.Second

func (a *Admin) overview(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), surveyWait)
	defer cancel()
	answer(w, http.StatusOK, OverviewOf(a.o.Survey(ctx)))
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // who asked has left
}
