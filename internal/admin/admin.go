// Package admin answers about one node over HTTP: whether the process is well,
// whether the node can be used, and what it knows of itself.
//
//	GET /healthz   200 while the node works, 503 once it has failed
//	GET /readyz    200 while it leads or follows, 503 else, and while it drains
//	GET /status    JSON, see [Status]
//
// It promises that nobody but who may ask learns more than a health check needs
// (bad input 113): health answers everybody, in a word; everything else wants the
// token or, where there is none, a client on this machine that asks for this
// machine by a name no other can have, which a web page cannot fake. It assumes
// that the status function never waits. Every connection, header and wait has a
// limit.
package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
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
	Status func() topology.Status // of the node; it never waits
	Token  string                 // that a request for more than health carries: Authorization: Bearer TOKEN
	Logger *slog.Logger           // default: says nothing
}

// Admin is the port. Its methods may be called from any goroutine.
type Admin struct {
	o        Options
	token    [sha256.Size]byte
	draining atomic.Bool
}

// New returns a port that serves nothing yet.
func New(o Options) *Admin {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Admin{o: o, token: sha256.Sum256([]byte(o.Token))}
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
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("/", a.guarded())
	return mux
}

// guarded is everything that does not answer everybody.
func (a *Admin) guarded() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", a.status)
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

func (a *Admin) health(w http.ResponseWriter, _ *http.Request) {
	say(w, a.o.Status().Role != topology.RoleFailed, "ok", "failed")
}

func (a *Admin) ready(w http.ResponseWriter, _ *http.Request) {
	switch s := a.o.Status(); {
	case a.draining.Load():
		say(w, false, "", "draining")
	case s.Role == topology.RoleFailed:
		say(w, false, "", "failed")
	default:
		say(w, s.Role != topology.RoleCandidate && s.Role != "", "ready", "no leader is known")
	}
}

func say(w http.ResponseWriter, well bool, yes, no string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
		yes = no
	}
	_, _ = io.WriteString(w, yes+"\n") // who asked has left
}

func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(StatusOf(a.o.Status())) // who asked has left
}
