package record_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"runtime/debug"
)

func TestX(t *testing.T) {
	bi, ok := debug.ReadBuildInfo()
	t.Log(ok)
	for _, d := range bi.Deps {
		t.Log(d.Path, d.Version)
	}
	_ = exec.Command
	_ = strings.Cut
	require.True(t, ok)
}
