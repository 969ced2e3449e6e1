package secure

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Options say whose credentials are opened.
type Options struct {
	Source Source
	Self   Name             // ID may be empty for a client: whoever its certificate names
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: the clock
}

// Credentials take connections through the handshake with what the source holds
// now. They are safe for concurrent use, and start no goroutine.
type Credentials struct {
	source Source
	self   Name
	log    *slog.Logger
	now    func() time.Time
	held   atomic.Pointer[material] // nil where the source is a pair of configurations

	mu      sync.Mutex // held by who reads the files; nobody waits for it at a handshake
	seen    texts      // what was read last, good or bad
	fault   string     // what was last logged
	checked time.Time
}

// Open reads the source, and checks that it is for whom it should be.
func Open(o Options) (*Credentials, error) {
	c := &Credentials{source: o.Source, self: o.Self, log: o.Logger, now: o.Now}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.source.CheckEvery == 0 {
		c.source.CheckEvery = checkEveryDefault
	}
	if err := c.source.Check(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if !c.source.files() {
		return c, nil
	}
	c.source.warnOfKey(c.log)
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files now, as on SIGHUP. On an error what was held before
// stays in force.
func (c *Credentials) Reload() error {
	if !c.source.files() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reload()
}

func (c *Credentials) reload() error {
	c.checked = c.now()
	t, err := c.source.read()
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	c.seen = t
	m, err := c.source.parse(t)
	if err == nil {
		if err = m.own(c.self, c.now()); err != nil {
			err = fmt.Errorf("%s: %w", c.source.Cert, err)
		}
	}
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	first := c.held.Swap(m) == nil
	c.fault = ""
	if !first {
		c.log.Info("certificates were read anew", "name", m.name.String(), "until", m.cert.Leaf.NotAfter)
	}
	return nil
}

// current returns what to work with now, read again if it is time and nobody
// else is at it.
func (c *Credentials) current() *material {
	if c.source.files() && c.source.CheckEvery > 0 && c.mu.TryLock() {
		defer c.mu.Unlock()
		if now := c.now(); now.Sub(c.checked) >= c.source.CheckEvery || now.Before(c.checked) {
			c.refresh()
		}
	}
	return c.held.Load()
}

// refresh takes over what has changed in the files, or holds by now.
func (c *Credentials) refresh() {
	c.checked = c.now()
	t, err := c.source.read()
	same := err == nil && t.equal(c.seen)
	if same && c.fault == "" {
		return
	}
	if err == nil {
		err = c.reload()
	}
	if err == nil || same || err.Error() == c.fault { // said once is enough
		return
	}
	c.fault = err.Error()
	c.log.Error("new certificates were not taken over; the old ones stay in force", "error", err)
}

// base returns a configuration with this side's certificate, as its own, and the
// authorities that are trusted.
func (c *Credentials) base(given *tls.Config, pool func(*tls.Config) *x509.CertPool) (*tls.Config, *x509.CertPool) {
	if given != nil {
		return given.Clone(), pool(given)
	}
	m := c.current()
	return &tls.Config{Certificates: []tls.Certificate{m.cert}}, m.roots
}

func clientCAs(conf *tls.Config) *x509.CertPool { return conf.ClientCAs }
func rootCAs(conf *tls.Config) *x509.CertPool   { return conf.RootCAs }

// server returns the configuration of one handshake with who dialled.
func (c *Credentials) server() *tls.Config {
	conf, roots := c.base(c.source.Server, clientCAs)
	conf.ClientAuth = tls.RequireAnyClientCert // and verified below, with reasons for the log alone
	conf.GetConfigForClient = nil
	c.harden(conf, roots, x509.ExtKeyUsageClientAuth)
	return conf
}

// client returns the configuration of one handshake with who was dialled.
func (c *Credentials) client() *tls.Config {
	conf, roots := c.base(c.source.Client, rootCAs)
	conf.InsecureSkipVerify = true // names of hosts prove nothing here: it is verified below
	c.harden(conf, roots, x509.ExtKeyUsageServerAuth)
	return conf
}

func (c *Credentials) harden(conf *tls.Config, roots *x509.CertPool, usage x509.ExtKeyUsage) {
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	conf.NextProtos = []string{protocol}
	conf.SessionTicketsDisabled = true // a resumed session is as old as its first handshake
	conf.ClientSessionCache = nil
	conf.VerifyConnection = refusing(func(cs tls.ConnectionState) error { return c.verify(cs, roots, usage) }, conf.VerifyConnection)
}

// refusing makes what the checks return a RefusedError; a check may be nil.
func refusing(checks ...func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		for _, check := range checks {
			if check == nil {
				continue
			}
			if err := check(cs); err != nil {
				return &RefusedError{Why: err}
			}
		}
		return nil
	}
}

// RefusedError is why this side refused the other's certificate. The other side
// is told "bad certificate". It wraps [topology.ErrDenied].
type RefusedError struct{ Why error }

func (e *RefusedError) Error() string   { return e.Why.Error() }
func (e *RefusedError) Unwrap() []error { return []error{topology.ErrDenied, e.Why} }

// Accept takes a connection that was accepted through the handshake, within the
// connection's deadline. The peer has the role and the id of its certificate. On
// an error the connection is still the caller's to close.
func (c *Credentials) Accept(conn net.Conn) (net.Conn, topology.Peer, error) {
	return shake(tls.Server(conn, c.server()))
}

// Connect is Accept for a connection that was dialled.
func (c *Credentials) Connect(conn net.Conn) (net.Conn, topology.Peer, error) {
	return shake(tls.Client(conn, c.client()))
}

func shake(conn *tls.Conn) (net.Conn, topology.Peer, error) {
	if err := conn.Handshake(); err != nil {
		return nil, topology.Peer{}, err
	}
	n, err := nameOf(conn.ConnectionState().PeerCertificates[0]) // it was verified, so that there is one
	if err != nil {
		return nil, topology.Peer{}, err
	}
	return &secured{Conn: conn}, topology.Peer{ID: n.ID, Role: n.Role}, nil
}

// Public returns a configuration for a port that anybody may dial who trusts the
// authority, such as that of Redis clients: TLS 1.2 or later, with this side's
// certificate as it is at each handshake. A client need not show one; who shows
// one that is not of this cluster is refused.
func (c *Credentials) Public() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.public(), nil },
	}
}

func (c *Credentials) public() *tls.Config {
	conf, roots := c.base(c.source.Server, clientCAs)
	conf.MinVersion = max(conf.MinVersion, tls.VersionTLS12)
	conf.ClientAuth = tls.RequestClientCert
	conf.SessionTicketsDisabled = true
	conf.GetConfigForClient = nil
	conf.VerifyConnection = refusing(func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return nil
		}
		return c.verifyCertificate(cs.PeerCertificates, roots, x509.ExtKeyUsageClientAuth)
	}, conf.VerifyConnection)
	return conf
}

// secured is a connection after its handshake.
type secured struct{ *tls.Conn }

// Read reads what the other side sent. A connection that ends without the words
// of TLS ends all the same: what travels here says for itself when it is whole.
func (s *secured) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
