package etcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Limits of the backend.
const (
	BodyBytesMax   = 1<<20 - 64 // of one document: with what stands around it, below etcd's own limit of 1.5 MiB for a request
	NamesMax       = 256        // documents that one cluster holds
	EndpointsMax   = 64
	LeaseTTLMin    = time.Second // etcd counts leases in whole seconds, and may grant more than was asked for
	LeaseTTLMax    = time.Hour
	prefixBytesMax = 200
	nameBytesMax   = 63
)

// What stands in for an option that is zero.
const (
	endpointDefault = "http://127.0.0.1:2379"
	prefixDefault   = "/triad"
	clusterDefault  = "triad"
	dialDefault     = 3 * time.Second
	requestDefault  = 2 * time.Second
	leaseDefault    = 10 * time.Second
	reviewDefault   = 30 * time.Second
)

// Secret is a password that does not show itself.
type Secret string

// String implements fmt.Stringer.
func (Secret) String() string { return "(secret)" }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return "(secret)" }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("(secret)") }

// Options configure the backend. The zero value works with an etcd on this
// machine's loopback.
type Options struct {
	// Endpoints are the members of one etcd cluster, as host:port, http://… or
	// https://…; default http://127.0.0.1:2379. Name all of them: a member that
	// is not named is not asked.
	Endpoints []string
	// Prefix begins every key; default /triad. Cluster, the name of this Triad
	// cluster, follows it; default triad. Two clusters must not share both.
	Prefix, Cluster string
	// ClusterID is etcd's own id of its cluster, as “etcdctl endpoint status”
	// shows it. Answers of any other are refused. Zero takes the id that
	// answers first, and keeps to that.
	ClusterID uint64
	// TLS is how etcd is reached by https; default none.
	TLS *tls.Config
	// Username and Password are for an etcd that asks for them.
	Username string
	Password Secret
	// DialTimeout bounds one attempt to connect; default 3 s.
	DialTimeout time.Duration
	// RequestTimeout bounds one request, before it is made again; default 2 s.
	RequestTimeout time.Duration
	// LeaseTTL is for how long a name stays held by a process that fell silent;
	// from 1 s to 1 h, in whole seconds, default 10 s.
	LeaseTTL time.Duration
	// Review is how often what Latest knows is compared with etcd, besides
	// being told of every change; default 30 s.
	Review time.Duration
}

// complete returns o with its defaults, or what is wrong with it.
func (o Options) complete() (Options, error) {
	o.Endpoints = slices.Clone(o.Endpoints)
	if len(o.Endpoints) == 0 {
		o.Endpoints = []string{endpointDefault}
	}
	setText(&o.Prefix, prefixDefault)
	setText(&o.Cluster, clusterDefault)
	setTime(&o.DialTimeout, dialDefault)
	setTime(&o.RequestTimeout, requestDefault)
	setTime(&o.LeaseTTL, leaseDefault)
	setTime(&o.Review, reviewDefault)
	if o.TLS != nil {
		o.TLS = o.TLS.Clone()
	}
	if err := o.Check(); err != nil {
		return o, fmt.Errorf("control: etcd: %w", err)
	}
	return o, nil
}

// Check returns what is wrong with the options, an error a line. It reaches nobody. What
// is zero is well, as a default stands in for it.
func (o Options) Check() error {
	setText(&o.Prefix, prefixDefault)
	setText(&o.Cluster, clusterDefault)
	setTime(&o.LeaseTTL, leaseDefault)
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if len(o.Endpoints) > EndpointsMax {
		fault("%d endpoints are more than %d", len(o.Endpoints), EndpointsMax)
	}
	for _, e := range o.Endpoints {
		switch {
		case e == "" || strings.ContainsAny(e, " \t\r\n,"):
			fault("endpoint %q: want one host:port, http://host:port or https://host:port", e)
		case strings.HasPrefix(e, "https://") && o.TLS == nil:
			fault("endpoint %s: TLS is not set", e)
		case strings.HasPrefix(e, "http://") && o.TLS != nil:
			fault("endpoint %s: TLS is set, and http does not use it: write https", e)
		}
	}
	if !validPrefix(o.Prefix) {
		fault("prefix %q: want /…, of letters, digits, '-', '.', '_' and '/', without a '/' at its end, %d bytes at most", o.Prefix, prefixBytesMax)
	}
	if !topology.NodeID(o.Cluster).Valid() {
		fault("cluster %q is not a name ([a-z][a-z0-9-]{0,62})", o.Cluster)
	}
	if (o.Username == "") != (o.Password == "") {
		fault("a user name and a password come together")
	}
	if o.LeaseTTL < LeaseTTLMin || o.LeaseTTL > LeaseTTLMax || o.LeaseTTL%time.Second != 0 {
		fault("a lease of %v: want whole seconds, from %v to %v", o.LeaseTTL, LeaseTTLMin, LeaseTTLMax)
	}
	if o.DialTimeout < 0 || o.RequestTimeout < 0 || o.Review < 0 {
		fault("a time below zero")
	}
	return errors.Join(faults...)
}

func setText(s *string, otherwise string) {
	if *s == "" {
		*s = otherwise
	}
}

func setTime(d *time.Duration, otherwise time.Duration) {
	if *d == 0 {
		*d = otherwise
	}
}

func validPrefix(p string) bool {
	if len(p) < 2 || len(p) > prefixBytesMax || p[0] != '/' || p[len(p)-1] == '/' {
		return false
	}
	for _, c := range []byte(p) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '/' {
			return false
		}
	}
	return true
}

// validName: a letter, then letters, digits, '-', '.', '_' and '/', 63 at most.
func validName(name string) bool {
	if name == "" || len(name) > nameBytesMax || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._/") == ""
}
