package triad

import (
	"net"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

func TestANodeWithoutTLSListensBeyondLoopbackOnlyIfItIsTold(t *testing.T) {
	everywhere, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer everywhere.Close()
	build, _ := fakes()
	config := func(change func(*Config)) Config {
		c := Config{Dir: "data/a", FS: vfs.NewMem(), Topology: build}
		change(&c)
		return c
	}
	for name, c := range map[string]Config{
		"an address":  config(func(c *Config) { c.Listen = "0.0.0.0:0" }),
		"all of them": config(func(c *Config) { c.Listen = ":0" }),
		"a listener":  config(func(c *Config) { c.Listener = everywhere }),
	} {
		_, err := Open(c)
		require.ErrorContains(t, err, "is reached from beyond this machine", name)
		require.ErrorContains(t, err, "set tls", name)
		names, err := c.FS.List("/")
		require.NoError(t, err)
		require.Empty(t, names, "nothing was touched")
	}
	for name, c := range map[string]Config{
		"insecure": config(func(c *Config) { c.Listen, c.Insecure = "0.0.0.0:0", true }),
		"loopback": config(func(c *Config) { c.Listen = "127.0.0.1:0" }),
	} {
		n, err := Open(c)
		require.NoError(t, err, name)
		require.NoError(t, n.Close())
	}
	_, err = Open(config(func(c *Config) { c.TLS.CA = "ca.pem" }))
	require.ErrorContains(t, err, "ca, cert and key go together")
	_, err = Open(config(func(c *Config) { c.TLS = TLS{CA: "/nowhere/ca", Cert: "/nowhere/cert", Key: "/nowhere/key"} }))
	require.ErrorContains(t, err, "tls: open /nowhere/ca")
}
