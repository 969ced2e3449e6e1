package admin

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/triad-kv/triad/topology"
)

// silenceMax is how long a leader may be without an answer of as many as a commit
// needs until balancers are told that it leads no more: eight heartbeats, as they
// are by default. What it still may have promised does not hang on it.
const silenceMax = 2 * time.Second

// probes are the questions that everybody may ask: each returns no words for yes,
// and why not.
var probes = map[string]func(*Admin, *http.Request, *topology.Status) string{
	"/livez":        live,
	"/healthz":      live,
	"/readyz":       ready,
	"/leader":       leads,
	"/replica":      follows,
	"/sync":         syncs,
	"/read-replica": reads,
}

func live(_ *Admin, _ *http.Request, s *topology.Status) string {
	if s.Role == topology.RoleFailed {
		return "failed"
	}
	return ""
}

func ready(a *Admin, _ *http.Request, s *topology.Status) string {
	switch {
	case a.draining.Load():
		return "draining"
	case s.Role == topology.RoleFailed:
		return "failed"
	case s.Role == topology.RoleRemoved:
		return "removed from its group"
	case s.Role == topology.RoleCandidate || s.Role == "":
		return "no leader is known"
	case len(s.Undefined) > 0:
		return "tables are not defined yet"
	}
	return ""
}

func leads(a *Admin, r *http.Request, s *topology.Status) string {
	why := ready(a, r, s)
	switch {
	case why != "":
	case s.Role == topology.RoleReplica: // every node takes writes
	case s.Role != topology.RoleLeader:
		why = "not the leader"
	case s.Reached.IsZero() || time.Since(s.Reached) > silenceMax:
		why = "too few members answer this leader"
	}
	return why
}

func follows(a *Admin, r *http.Request, s *topology.Status) string {
	why := ready(a, r, s)
	if why == "" && s.Role != topology.RoleFollower && s.Role != topology.RoleReadReplica {
		why = "not a follower"
	}
	if why == "" {
		why = late(r, s)
	}
	return why
}

func syncs(a *Admin, r *http.Request, s *topology.Status) string {
	why := follows(a, r, s)
	if why == "" && !s.Sync {
		why = "commits do not wait for it"
	}
	return why
}

func reads(a *Admin, r *http.Request, s *topology.Status) string {
	why := ready(a, r, s)
	if why == "" && s.Role != topology.RoleReadReplica {
		why = "not a read replica"
	}
	if why == "" {
		why = late(r, s)
	}
	return why
}

// late says why a node is further behind than is asked for.
func late(r *http.Request, s *topology.Status) string {
	bounds, err := lags(r.URL.RawQuery)
	if err == nil && !bounds.met(s) {
		return "too far behind"
	}
	if err != nil {
		return "the query is not understood: " + err.Error()
	}
	return ""
}

// probe answers one of the questions.
func (a *Admin) probe(f func(*Admin, *http.Request, *topology.Status) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if _, err := lags(r.URL.RawQuery); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, "%v\n", err) // who asked has left
			return
		}
		s := a.o.Status()
		words := f(a, r, &s)
		if words != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			words = "yes"
		}
		_, _ = io.WriteString(w, words+"\n") // as above
	})
}
