package secure

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzNames holds that the name in a certificate is refused, or has one spelling.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"triad://shop/node/a", "triad://shop/client/api", "triad://shop/node/a?x", "triad://u@shop:1/node/a", "https://shop/node/a", "triad://shop/node/%61"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		n, err := parseName(u)
		if err != nil {
			return
		}
		again, err := url.Parse(n.String())
		require.NoError(t, err)
		same, err := parseName(again)
		require.NoError(t, err)
		require.Equal(t, n, same)
	})
}

// FuzzPEM holds that files of certificates and keys end in errors.
func FuzzPEM(f *testing.F) {
	_, pair, err := NewAuthority("shop", For(time.Hour))
	require.NoError(f, err)
	f.Add(pair.Cert, pair.Key)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		_, _ = ReadAuthority(Pair{Cert: cert, Key: key})
	})
}
