package server

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate is one that signs itself, for 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// startTLS is start behind TLS.
func startTLS(t *testing.T, o Options) (s started, trust *tls.Config) {
	t.Helper()
	own, pool := certificate(t)
	server, err := New(newFake(), o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(ctx, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}))
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return started{Server: server, addr: l.Addr().String()}, &tls.Config{RootCAs: pool}
}

func TestClientsAreServedOverTLS(t *testing.T) {
	s, trust := startTLS(t, Options{})
	sock, err := tls.Dial("tcp", s.addr, trust)
	require.NoError(t, err)
	defer sock.Close()
	cl := &client{t: t, sock: sock, in: bufio.NewReader(sock)}
	require.Equal(t, "OK", cl.do("SET", "k", "v"))
	require.Equal(t, `"v"`, cl.do("GET", "k"))
}

// Bad input 5, 112: who does not shake hands is left, at once or in time.
func TestWhoDoesNotShakeHandsIsLeft(t *testing.T) {
	s, trust := startTLS(t, Options{Limits: Limits{AuthTimeout: 20 * time.Millisecond}})
	plain := s.dial(t)
	plain.send(array("PING"))
	_, err := plain.in.ReadString('G')
	require.Error(t, err)
	require.False(t, isTimeout(err))
	s.dial(t).ends()
	eventually(t, func() bool { return len(s.present()) == 0 }, "all are gone")
	_, err = tls.Dial("tcp", s.addr, &tls.Config{RootCAs: trust.RootCAs, MaxVersion: tls.VersionTLS12})
	require.Error(t, err, "bad input 111")
}

func TestOneTLSConnectionTooManyIsClosedWithoutAWord(t *testing.T) {
	s, trust := startTLS(t, Options{Limits: Limits{ConnectionsMax: 1}})
	sock, err := tls.Dial("tcp", s.addr, trust)
	require.NoError(t, err)
	defer sock.Close()
	_, err = tls.Dial("tcp", s.addr, trust)
	require.Error(t, err)
	require.EqualValues(t, 1, s.counts.rejected.Load())
}
