package subjects

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// all are the subjects, with files small enough for a test.
func all() []compare.Subject {
	small := Ideal{FileBytes: 1 << 20}
	nodes := Triad{SegmentBytes: 16 << 20}
	return []compare.Subject{small, nodes, IdealNet{small}, TriadRESP{nodes}, TriadQuorum{16 << 20}, TriadSites{16 << 20}, Redis{}}
}

// here are the names of those that can run on this machine.
func here(t *testing.T) (names []string) {
	for _, s := range all() {
		if r, ok := s.(Redis); ok && r.Installed() != nil {
			t.Log("not measured: ", r.Installed())
			continue
		}
		names = append(names, s.Name())
	}
	return names
}

// The test binary starts itself as leaders and followers.
func TestMain(m *testing.M) {
	if compare.IsChild(os.Args[1:]) {
		os.Exit(compare.Main(os.Args[1:], all()...))
	}
	goleak.VerifyTestMain(m)
}

func TestEverySubjectAnswersEveryWriter(t *testing.T) {
	dir, names := t.TempDir(), here(t)
	out := filepath.Join(dir, "out.json")
	require.Zero(t, compare.Main([]string{"-subjects", strings.Join(names, ","), "-writers", "1,4", "-rounds", "1", "-warm", "0s", "-time", "100ms", "-quiet", "0", "-dir", dir, "-json", out}, all()...))
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	var r compare.Report
	require.NoError(t, json.Unmarshal(b, &r))
	require.Len(t, r.Cells, 2*len(names))
	for _, c := range r.Cells {
		require.NotZero(t, c.Writes, "%s with %d writers", c.Subject, c.Writers)
	}
}

func TestReadersFindWhatWasPut(t *testing.T) {
	args := []string{"-op", "get", "-subjects", "triad-resp,triad-quorum", "-keys", "50", "-writers", "1", "-rounds", "1", "-warm", "0s", "-time", "50ms", "-quiet", "0", "-dir", t.TempDir()}
	require.Zero(t, compare.Main(args, all()...))
}

func TestWhereThereIsNoRedisItsSubjectSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", "")
	require.ErrorIs(t, Redis{}.Run(t.Context(), t.TempDir(), nil, nil), ErrNoRedis)
}

func TestALeaderRefusesAFrameThatIsTooLong(t *testing.T) {
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serveIdeal(near, nil) }()
	_, err := far.Write([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"))
	require.NoError(t, err)
	require.ErrorContains(t, <-ended, "a frame of")
}

func TestAnAnswerThatIsAnErrorIsOne(t *testing.T) {
	for _, c := range []struct {
		answer string
		do     func(*respClient) error
	}{
		{"-ERR no\r\n", func(c *respClient) error { return c.client().Put([]byte("k"), nil) }},
		{"$-1\r\n", func(c *respClient) error { return c.get([]byte("k")) }},
		{"+OK\r\n:0\r\n", func(c *respClient) error { return c.setWait([]byte("k"), nil) }},
		{"-ERR no\r\n:1\r\n", func(c *respClient) error { return c.setWait([]byte("k"), nil) }},
	} {
		near, far := net.Pipe()
		go func() {
			_, _ = far.Read(make([]byte, 1024))
			_, _ = far.Write([]byte(c.answer))
			_ = far.Close()
		}()
		require.ErrorIs(t, c.do(&respClient{conn: near, in: bufio.NewReader(near)}), errAnswer, c.answer)
	}
}

func TestAChildWithoutItsArgumentsSaysWhatItNeeds(t *testing.T) {
	for _, s := range all() {
		require.ErrorContains(t, s.Child(t.Context(), nil, nil), "needs")
	}
	require.ErrorContains(t, IdealNet{}.Child(t.Context(), []string{roleLeader}, nil), "needs")
}
