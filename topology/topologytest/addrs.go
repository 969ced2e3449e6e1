package topologytest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Addrs returns n addresses on loopback at which nobody listens. Tests that run beside
// this one, in another process, do not take them before they are used: on Linux, where
// all of 127.0.0.0/8 is loopback, each process has a host of its own.
func Addrs(t testing.TB, n int) (addrs []string) {
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		pid := os.Getpid()
		host = fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x7f, pid>>8&0xff, 1+pid&0x7f)
	}
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}
