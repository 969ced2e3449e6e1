package progress

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProgressIsPlainLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	p := New(&out, false, "files written", 10)
	p.Add(1)
	require.Empty(t, out.String(), "not before it has taken a while")
	p.told = p.told.Add(-Every)
	p.began = time.Now().Add(-time.Minute)
	p.Add(2)
	require.Equal(t, "  files written: 3 of 10, about 2m20s left\n", out.String())
	p.Done()
	p.Done()
}

func TestProgressOnATerminalIsABarThatGoesAway(t *testing.T) {
	var out bytes.Buffer
	p := New(&out, true, "files written", 10)
	p.Add(10)
	p.Done()
	p.Done()
	p = New(&out, true, "files written", 10)
	p.Add(3)
	p.Done()
}
