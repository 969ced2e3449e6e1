package secure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// place writes a certificate and the authorities that its holder trusts.
func place(t *testing.T, ca []byte, p Pair) Source {
	t.Helper()
	dir := t.TempDir()
	s := Source{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CheckEvery: -1}
	for path, b := range map[string][]byte{s.CA: ca, s.Cert: p.Cert, s.Key: p.Key} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	return s
}

func authority(t *testing.T) (*Authority, []byte) {
	t.Helper()
	a, p, err := NewAuthority("shop", For(time.Hour))
	require.NoError(t, err)
	return a, p.Cert
}

func issue(t *testing.T, a *Authority, n Name, v Validity) Pair {
	t.Helper()
	p, err := a.Issue(n, nil, v)
	require.NoError(t, err)
	return p
}

func node(id topology.NodeID) Name { return Name{Cluster: "shop", Role: topology.PeerNode, ID: id} }

// handshake lets two sides meet, and returns what each says.
func handshake(t *testing.T, dialled, accepted *Credentials) (peer topology.Peer, there, here error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(patience))
			_, peer, err = accepted.Accept(c)
			_ = c.Close()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, _, there = dialled.Connect(c)
	if there != nil {
		_ = c.Close()
	}
	here = <-done
	_ = c.Close()
	return peer, there, here
}

// forged are credentials that were never checked: what a stranger would show.
func forged(t *testing.T, s Source) *Credentials {
	t.Helper()
	texts, err := s.read()
	require.NoError(t, err)
	m, err := s.parse(texts)
	if err != nil {
		m = &material{roots: x509.NewCertPool()}
		m.roots.AppendCertsFromPEM(texts.ca)
		m.cert, err = tls.X509KeyPair(texts.cert, texts.key)
		require.NoError(t, err)
	}
	c := &Credentials{source: s, self: node("a"), now: time.Now}
	c.held.Store(m)
	return c
}

func TestWhoCannotProveWhoHeIsIsRefusedInBothDirections(t *testing.T) {
	ours, ca := authority(t)
	theirs, theirCA := authority(t)
	now := time.Now()
	good, err := Open(Options{Source: place(t, ca, issue(t, ours, node("a"), For(time.Hour))), Self: node("a")})
	require.NoError(t, err)
	_, self, err := NewAuthority("shop", For(time.Hour))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		pair Pair
		want string
	}{
		"another authority":           {issue(t, theirs, node("b"), For(time.Hour)), "unknown authority"},
		"expired":                     {issue(t, ours, node("b"), Validity{now.Add(-time.Hour), now.Add(-time.Minute)}), "expired"},
		"not yet valid":               {issue(t, ours, node("b"), Validity{now.Add(time.Minute), now.Add(time.Hour)}), "not yet valid"},
		"another cluster":             {issue(t, ours, Name{"mine", topology.PeerNode, "b"}, For(time.Hour)), "another cluster"},
		"self-signed, with a CN only": {self, "unknown authority"},
		"self-signed, with our CN":    {unnamed(t, nil, "b"), "unknown authority"},
		"our authority, a CN only":    {unnamed(t, ours, "b"), "it has no name triad://"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := forged(t, place(t, ca, c.pair))
			_, _, here := handshake(t, bad, good)
			require.ErrorIs(t, here, topology.ErrDenied)
			require.ErrorContains(t, here, c.want)
			_, there, here := handshake(t, good, bad)
			require.ErrorIs(t, there, topology.ErrDenied)
			require.ErrorContains(t, there, c.want)
			require.EqualError(t, here, "remote error: tls: bad certificate", "the other side is not told why")
		})
	}
	peer, there, here := handshake(t, forged(t, place(t, theirCA, issue(t, ours, node("b"), For(time.Hour)))), good)
	require.ErrorIs(t, there, topology.ErrDenied)
	require.Error(t, here)
	require.Zero(t, peer)
	peer, there, here = handshake(t, forged(t, place(t, ca, issue(t, ours, node("b"), For(time.Hour)))), good)
	require.NoError(t, there)
	require.NoError(t, here)
	require.Equal(t, topology.Peer{ID: "b", Role: topology.PeerNode}, peer)
	client := Name{"shop", topology.PeerClient, "b"}
	_, there, _ = handshake(t, good, forged(t, place(t, ca, issue(t, ours, client, For(time.Hour)))))
	require.ErrorIs(t, there, topology.ErrDenied, "a client's certificate serves nobody")
}

// unnamed is a certificate with a common name and no URI, signed by a, or by
// itself.
func unnamed(t *testing.T, a *Authority, cn string) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	v := For(time.Hour)
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, NotBefore: v.From, NotAfter: v.Until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	parent, by := c, crypto.Signer(key)
	if a != nil {
		parent, by = a.cert, a.key
	}
	_, p, err := sign(c, parent, key, by)
	require.NoError(t, err)
	return p
}

// Who shows nothing, and who speaks an older TLS, is not let in (bad input 107, 111).
func TestWhoShowsNothingOrSpeaksAnOlderTLSIsRefused(t *testing.T) {
	a, ca := authority(t)
	good, err := Open(Options{Source: place(t, ca, issue(t, a, node("a"), For(time.Hour))), Self: node("a")})
	require.NoError(t, err)
	m := good.current()
	for name, c := range map[string]struct {
		conf *tls.Config
		want string
	}{
		"no certificate": {&tls.Config{NextProtos: []string{protocol}}, "client didn't provide a certificate"},
		"TLS 1.2":        {&tls.Config{Certificates: []tls.Certificate{m.cert}, MaxVersion: tls.VersionTLS12, NextProtos: []string{protocol}}, "client offered only unsupported versions"},
		"TLS 1.0":        {&tls.Config{Certificates: []tls.Certificate{m.cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, "client offered only unsupported versions"},
		"no protocol":    {&tls.Config{Certificates: []tls.Certificate{m.cert}}, `does not ask for the protocol "triad-peers"`},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			defer there.Close()
			require.NoError(t, here.SetDeadline(time.Now().Add(patience)))
			require.NoError(t, there.SetDeadline(time.Now().Add(patience)))
			c.conf.InsecureSkipVerify = true
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn := tls.Client(there, c.conf)
				_ = conn.Handshake()
				_, _ = conn.Read(make([]byte, 1)) // what it is told
				_ = there.Close()
			}()
			_, peer, err := good.Accept(here)
			require.ErrorContains(t, err, c.want)
			require.Zero(t, peer)
			_ = here.Close()
			<-done
		})
	}
}

func TestABrokenNewPairLeavesTheOldInForce(t *testing.T) {
	a, ca := authority(t)
	s := place(t, ca, issue(t, a, node("a"), For(time.Hour)))
	c, err := Open(Options{Source: s, Self: node("a")})
	require.NoError(t, err)
	old := c.current()
	next := issue(t, a, node("a"), For(time.Hour))
	require.NoError(t, os.WriteFile(s.Cert, next.Cert, 0o600)) // and the old key
	require.ErrorContains(t, c.Reload(), "private key does not match")
	require.Same(t, old, c.current())
	require.NoError(t, os.WriteFile(s.Key, next.Key, 0o600))
	require.NoError(t, c.Reload())
	require.NotSame(t, old, c.current())
	other := issue(t, a, node("b"), For(time.Hour))
	require.NoError(t, os.WriteFile(s.Cert, other.Cert, 0o600))
	require.NoError(t, os.WriteFile(s.Key, other.Key, 0o600))
	require.ErrorContains(t, c.Reload(), "not for triad://shop/node/a")
}

func TestFilesThatChangedAreReadAtAHandshakeOnceItIsTime(t *testing.T) {
	a, ca := authority(t)
	s := place(t, ca, issue(t, a, node("a"), For(time.Hour)))
	s.CheckEvery = time.Minute
	now := time.Now()
	c, err := Open(Options{Source: s, Self: node("a"), Now: func() time.Time { return now }})
	require.NoError(t, err)
	old, next := c.current(), issue(t, a, node("a"), For(time.Hour))
	require.NoError(t, os.WriteFile(s.Cert, next.Cert, 0o600))
	require.NoError(t, os.WriteFile(s.Key, next.Key, 0o600))
	require.Same(t, old, c.current())
	now = now.Add(time.Minute)
	require.NotSame(t, old, c.current())
}

func TestAFileThatIsTooLargeIsNoCertificate(t *testing.T) {
	a, ca := authority(t)
	s := place(t, ca, issue(t, a, node("a"), For(time.Hour)))
	require.NoError(t, os.WriteFile(s.CA, make([]byte, fileBytesMax+1), 0o600))
	_, err := Open(Options{Source: s, Self: node("a")})
	require.ErrorContains(t, err, "are no certificate")
}
