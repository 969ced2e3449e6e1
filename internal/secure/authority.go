package secure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Authority signs the certificates of a cluster. It is meant for tests, demos
// and small clusters: its key is a file.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Validity is when a certificate holds.
type Validity struct{ From, Until time.Time }

// clockSkew is by how much the clocks of two nodes may differ without a new
// certificate being taken for one of the future.
const clockSkew = 5 * time.Minute

// For returns the validity of d from now on.
func For(d time.Duration) Validity {
	now := time.Now()
	return Validity{From: now.Add(-clockSkew), Until: now.Add(d)}
}

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
	serialBits     = 128
)

// Pair is a certificate and its key, both in PEM.
type Pair struct{ Cert, Key []byte }

// NewAuthority makes an authority with a key of its own (P-256).
func NewAuthority(cluster string, v Validity) (*Authority, Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, Pair{}, err
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "triad cluster " + cluster},
		NotBefore: v.From, NotAfter: v.Until,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	cert, pair, err := sign(t, t, key, key)
	if err != nil {
		return nil, Pair{}, err
	}
	return &Authority{cert: cert, key: key}, pair, nil
}

// ReadAuthority returns the authority that a pair holds.
func ReadAuthority(p Pair) (*Authority, error) {
	cert, err := decode(p.Cert, pemCertificate)
	if err != nil {
		return nil, err
	}
	der, err := decode(p.Key, pemKey)
	if err != nil {
		return nil, err
	}
	a := &Authority{}
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the key cannot be read") // and not what of it
	}
	signer, ok := key.(crypto.Signer)
	switch {
	case !ok:
		return nil, errors.New("the key signs nothing")
	case !a.cert.IsCA:
		return nil, errors.New("the certificate is of no authority")
	}
	public, ok := a.cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(signer.Public()) {
		return nil, errors.New("the key is not that of the certificate")
	}
	a.key = signer
	return a, nil
}

func decode(text []byte, kind string) ([]byte, error) {
	b, _ := pem.Decode(text)
	if b == nil || b.Type != kind {
		return nil, fmt.Errorf("no %s in PEM", kind)
	}
	return b.Bytes, nil
}

// Issue makes a certificate for n. Hosts are names and addresses under which
// clients of other protocols dial a node; between nodes they mean nothing.
func (a *Authority) Issue(n Name, hosts []string, v Validity) (Pair, error) {
	if err := n.check(); err != nil {
		return Pair{}, err
	}
	u, err := url.Parse(n.String())
	if err != nil {
		return Pair{}, err
	}
	if v.Until.After(a.cert.NotAfter) {
		v.Until = a.cert.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: string(n.ID)}, // for people; nothing looks at it
		NotBefore: v.From, NotAfter: v.Until,
		URIs:                  []*url.URL{u},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if n.Role == topology.PeerNode {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	_, pair, err := sign(t, a.cert, key, a.key)
	return pair, err
}

// sign signs t, whose key is key, with the key of parent.
func sign(t, parent *x509.Certificate, key, by crypto.Signer) (*x509.Certificate, Pair, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits-1))
	if err != nil {
		return nil, Pair{}, err
	}
	t.SerialNumber = serial.Add(serial, big.NewInt(1))
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), by)
	if err != nil {
		return nil, Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, Pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: private}),
	}, err
}
