package secure

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Source is where certificates come from: either three files in PEM, or a pair
// of configurations for a program that keeps its own. The zero value is none.
type Source struct {
	// CA is a file with the certificates of the authorities that are trusted:
	// several while one takes another's place.
	CA string
	// Cert and Key are files with this side's certificate, and what leads from
	// it to the authority, and its key.
	Cert, Key string
	// CheckEvery is how old what was read of the files may be when a handshake
	// begins; default 10 s. Negative: only Reload reads them again.
	CheckEvery time.Duration

	// Server and Client replace the files, and are set together. Server.ClientCAs
	// and Client.RootCAs name the authorities, and certificates come from
	// Certificates, GetCertificate and GetClientCertificate. Protocol versions,
	// and how the other side is verified, are not left to them: a VerifyConnection
	// of theirs may refuse more, never less.
	Server, Client *tls.Config
}

const (
	checkEveryDefault = 10 * time.Second
	fileBytesMax      = 1 << 20 // of a certificate, a key, the authorities: each
)

// Given reports whether the source is any.
func (s Source) Given() bool {
	return s.CA != "" || s.Cert != "" || s.Key != "" || s.Server != nil || s.Client != nil
}

func (s Source) files() bool { return s.Server == nil && s.Client == nil }

// Check returns what is wrong with the source, without reading a file.
func (s Source) Check() error {
	var faults []error
	if !s.files() {
		switch {
		case s.Server == nil || s.Client == nil:
			faults = append(faults, errors.New("server, client: only one of the pair is set"))
		case s.Server.ClientCAs == nil:
			faults = append(faults, errors.New("server.ClientCAs: none, and nobody could be told from a stranger"))
		case s.Client.RootCAs == nil:
			faults = append(faults, errors.New("client.RootCAs: none, and nobody could be told from a stranger"))
		}
		if s.CA != "" || s.Cert != "" || s.Key != "" {
			faults = append(faults, errors.New("ca, cert, key: files, and a pair of configurations: one of the two"))
		}
		return errors.Join(faults...)
	}
	for _, f := range []struct{ field, path string }{{"ca", s.CA}, {"cert", s.Cert}, {"key", s.Key}} {
		if f.path == "" {
			faults = append(faults, fmt.Errorf("%s: no file was named; ca, cert and key go together", f.field))
		}
	}
	return errors.Join(faults...)
}

// texts are what the three files hold.
type texts struct{ ca, cert, key []byte }

func (t texts) equal(u texts) bool {
	return bytes.Equal(t.ca, u.ca) && bytes.Equal(t.cert, u.cert) && bytes.Equal(t.key, u.key)
}

// read reads the three files.
func (s Source) read() (t texts, err error) {
	for _, f := range []struct {
		path string
		to   *[]byte
	}{{s.CA, &t.ca}, {s.Cert, &t.cert}, {s.Key, &t.key}} {
		if *f.to, err = readFile(f.path); err != nil {
			return texts{}, err
		}
	}
	return t, nil
}

func readFile(path string) (b []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err = io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err == nil && len(b) > fileBytesMax {
		return nil, fmt.Errorf("%s: more than %d bytes are no certificate", path, fileBytesMax)
	}
	return b, err
}

// material is what one handshake works with. It is never changed.
type material struct {
	cert  tls.Certificate
	roots *x509.CertPool
	name  Name // of cert
}

// parse makes material of what the files hold.
func (s Source) parse(t texts) (*material, error) {
	m := &material{roots: x509.NewCertPool()}
	if !m.roots.AppendCertsFromPEM(t.ca) {
		return nil, fmt.Errorf("%s: no certificate in PEM", s.CA)
	}
	var err error
	if m.cert, err = tls.X509KeyPair(t.cert, t.key); err != nil {
		return nil, fmt.Errorf("%s and %s: %w", s.Cert, s.Key, err)
	}
	if m.name, err = nameOf(m.cert.Leaf); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Cert, err)
	}
	return m, nil
}

// own checks that the material would convince somebody who trusts the same
// authorities, and is for whom it should be.
func (m *material) own(want Name, now time.Time) error {
	switch {
	case m.name.Cluster != want.Cluster || m.name.Role != want.Role, want.ID != "" && m.name.ID != want.ID:
		if want.ID == "" {
			want.ID = "NAME"
		}
		return fmt.Errorf("the certificate is for %s, not for %s", m.name, want)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if want.Role == topology.PeerNode {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	for _, u := range usages {
		if err := verifyChain(m.chain(), m.roots, u, now); err != nil {
			return fmt.Errorf("the certificate does not hold before its own authority: %w", err)
		}
	}
	return nil
}

// chain is the certificate and what leads from it to the authority.
func (m *material) chain() []*x509.Certificate {
	chain := []*x509.Certificate{m.cert.Leaf}
	for _, der := range m.cert.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil { // what cannot be read leads nowhere
			chain = append(chain, c)
		}
	}
	return chain
}

// warnOfKey tells the log where others may read the key.
func (s Source) warnOfKey(log *slog.Logger) {
	if i, err := os.Stat(s.Key); err == nil && i.Mode().Perm()&0o007 != 0 {
		log.Warn("others may read the key; chmod 0600 it", "file", s.Key, "mode", i.Mode().Perm().String())
	}
}
