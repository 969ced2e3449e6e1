package etcd_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the life of a member of etcd, where this binary was started to
// be one.
func TestMain(m *testing.M) {
	if conf := os.Getenv(memberEnv); conf != "" {
		serve(conf)
		return
	}
	goleak.VerifyTestMain(m)
}
