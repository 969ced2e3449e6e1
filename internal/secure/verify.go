package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// protocol keeps apart what a certificate may be shown to: a handshake of
// another protocol is no answer here.
const protocol = "triad-peers"

// verify decides whether the other side of a handshake is somebody of this
// cluster; who, and whether that is enough, is decided by its hello.
func (c *Credentials) verify(cs tls.ConnectionState, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	switch {
	case cs.Version != tls.VersionTLS13:
		return fmt.Errorf("%s, and only TLS 1.3 is spoken here", tls.VersionName(cs.Version))
	case cs.NegotiatedProtocol != protocol:
		return fmt.Errorf("it does not ask for the protocol %q", protocol)
	case len(cs.PeerCertificates) == 0:
		return errors.New("it has shown no certificate")
	}
	return c.verifyCertificate(cs.PeerCertificates, roots, usage)
}

func (c *Credentials) verifyCertificate(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	serial := chain[0].SerialNumber
	if err := verifyChain(chain, roots, usage, c.now()); err != nil {
		return fmt.Errorf("certificate %x: %w", serial, err)
	}
	n, err := nameOf(chain[0])
	if err != nil {
		return fmt.Errorf("certificate %x: %w", serial, err)
	}
	if n.Cluster != c.self.Cluster {
		return fmt.Errorf("certificate %x is for %s, of another cluster than %q", serial, n, c.self.Cluster)
	}
	return nil
}

// verifyChain checks that a certificate leads to the authorities, within its
// time and for that use.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: now,
	})
	return err
}
