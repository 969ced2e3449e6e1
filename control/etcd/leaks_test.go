package etcd_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/triad-kv/triad/control/etcd/internal/etcdtest"
)

// TestMain is also the life of a member of etcd, where this binary was started to
// be one.
func TestMain(m *testing.M) {
	if conf := os.Getenv(etcdtest.Env); conf != "" {
		etcdtest.Serve(conf)
		return
	}
	goleak.VerifyTestMain(m)
}
