package etcd_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/control/etcd/internal/etcdtest"
	"github.com/triad-kv/triad/topology"
)

func TestWhoEtcdDoesNotLetInIsToldSo(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	etcds := raw(t, m.Client)
	for _, user := range []string{"root", "triad", "nobody"} {
		_, err := etcds.UserAdd(t.Context(), user, "pass-"+user)
		require.NoError(t, err)
		_, err = etcds.RoleAdd(t.Context(), user)
		require.NoError(t, err)
		_, err = etcds.UserGrantRole(t.Context(), user, user)
		require.NoError(t, err)
	}
	_, err := etcds.RoleGrantPermission(t.Context(), "triad", "/triad/triad/", clientv3.GetPrefixRangeEnd("/triad/triad/"), clientv3.PermissionType(clientv3.PermReadWrite))
	require.NoError(t, err)
	_, err = etcds.AuthEnable(t.Context())
	require.NoError(t, err)

	o := etcd.Options{Endpoints: []string{m.Client}, Username: "triad", Password: "pass-triad"}
	c, _ := running(t, newMemory(), o)
	swap(t, c, 0, "one")
	until(t, c, "group", 1)
	r := register(t, c, "n")
	require.True(t, isOpen(r.Lost()))
	require.NoError(t, r.Close())

	m.Kill() // it forgets who has shown a password
	ready(m)
	swap(t, c, 1, "two")
	until(t, c, "group", 2)

	wrong, nobody, none := o, o, o
	wrong.Password, nobody.Username, nobody.Password, none.Username, none.Password = "wrong", "nobody", "pass-nobody", "", ""
	for name, o := range map[string]etcd.Options{"a wrong password": wrong, "no permission": nobody, "no name": none} {
		t.Run(name, func(t *testing.T) {
			c, _ := running(t, newMemory(), o)
			_, load := c.Load(t.Context(), "group")
			_, swap := c.Swap(t.Context(), topology.Document{Name: "group", Version: 1})
			_, register := c.Register(t.Context(), "n")
			for _, err := range []error{load, swap, register} {
				require.ErrorIs(t, err, topology.ErrDenied)
				require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
				require.NotContains(t, err.Error(), "pass-")
			}
		})
	}
}

func TestEtcdBehindTLS(t *testing.T) {
	t.Parallel()
	m := etcdtest.New(t, etcdtest.Shape{Name: "m0", Dir: t.TempDir(), Client: address(t), Peer: address(t), TLS: true})
	m.Cluster = "m0=http://" + m.Peer
	t.Cleanup(m.Kill)
	ready(m)
	pem, err := os.ReadFile(filepath.Join(m.Dir, "fixtures", "client", "cert.pem"))
	require.NoError(t, err)
	known := x509.NewCertPool()
	require.True(t, known.AppendCertsFromPEM(pem))

	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{"https://" + m.Client}, TLS: &tls.Config{RootCAs: known}})
	swap(t, c, 0, "one")
	until(t, c, "group", 1)

	stranger := on(t, newMemory(), etcd.Options{Endpoints: []string{"https://" + m.Client}, TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	_, err = stranger.Load(t.Context(), "group")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "certificate", "the cause is told")

	plain := on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	_, err = plain.Load(t.Context(), "group")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "TLS")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})

	body := bytes.Repeat([]byte{7}, etcd.BodyBytesMax)
	for v := range uint64(20) { // with as many ops as a value has
		_, err := c.Swap(t.Context(), topology.Document{Name: "large", Version: v, Body: body})
		require.NoError(t, err)
	}
	d, err := c.Load(t.Context(), "large")
	require.NoError(t, err)
	require.Equal(t, body, d.Body)
	_, err = c.Swap(t.Context(), topology.Document{Name: "large", Version: 20, Body: append(body, 7)})
	require.ErrorIs(t, err, topology.ErrTooLarge)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))

	for _, name := range []string{"", "Upper", "/group", "gr oup", "ä", strings.Repeat("a", 64)} {
		_, err := c.Load(t.Context(), name)
		require.ErrorIs(t, err, topology.ErrMalformed, name)
		_, err = c.Swap(t.Context(), topology.Document{Name: name})
		require.ErrorIs(t, err, topology.ErrMalformed, name)
		d, stale := c.Latest(name)
		require.Zero(t, d.Version)
		require.Nil(t, stale)
	}
	_, err = c.Register(t.Context(), "Not A Name")
	require.ErrorIs(t, err, topology.ErrMalformed)

	for i := range etcd.NamesMax - 1 { // "large" is one
		_, err := c.Swap(t.Context(), topology.Document{Name: fmt.Sprintf("d%03d", i)})
		require.NoError(t, err)
	}
	_, err = c.Swap(t.Context(), topology.Document{Name: "one-more"})
	require.ErrorIs(t, err, topology.ErrTooLarge)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	r := register(t, c, "n")
	require.NoError(t, r.Close(), "the number has a place of its own")
}

func TestAValueThatIsNoneIsMalformed(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	swap(t, c, 0, "one")
	_, err := raw(t, m.Client).Put(t.Context(), "/triad/triad/document/tables", "by hand")
	require.NoError(t, err)
	_, err = c.Load(t.Context(), "tables")
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = c.Swap(t.Context(), topology.Document{Name: "tables"})
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	swap(t, c, 1, "others go on")
	until(t, c, "group", 2)
}

func TestAQuotaThatIsReachedIsToldAndNothingIsApplied(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	etcds := raw(t, m.Client)
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	swap(t, c, 0, "one")
	m.Kill()
	m.Quota = 1 // byte: whatever comes is too much
	ready(m)
	require.Eventually(t, func() bool {
		_, err := etcds.Put(t.Context(), "any", "thing")
		alarms, listed := etcds.AlarmList(t.Context())
		return err != nil && listed == nil && len(alarms.Alarms) > 0
	}, patience, tick)
	_, err := c.Swap(t.Context(), topology.Document{Name: "group", Version: 1})
	require.ErrorIs(t, err, topology.ErrDiskFull)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.Equal(t, "one", string(load(t, c).Body), "it can be read")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	build := func(o etcd.Options) error {
		_, err := etcd.New(o)(topology.ControlEnv{Self: "a", Stable: newMemory()})
		return err
	}
	require.NoError(t, build(etcd.Options{}), "the zero value works")
	many := make([]string, etcd.EndpointsMax+1)
	for i := range many {
		many[i] = "h:1"
	}
	for want, o := range map[string]etcd.Options{
		"endpoints are more":     {Endpoints: many},
		`endpoint ""`:            {Endpoints: []string{""}},
		`endpoint "a:1,b:1"`:     {Endpoints: []string{"a:1,b:1"}},
		"TLS is not set":         {Endpoints: []string{"https://a:1"}},
		"write https":            {Endpoints: []string{"http://a:1"}, TLS: &tls.Config{}},
		`prefix "triad"`:         {Prefix: "triad"},
		`prefix "/triad/"`:       {Prefix: "/triad/"},
		`prefix "/"`:             {Prefix: "/"},
		`prefix "/tri ad"`:       {Prefix: "/tri ad"},
		`cluster "a/b"`:          {Cluster: "a/b"},
		"come together":          {Username: "a"},
		"a lease of 500ms":       {LeaseTTL: 500 * time.Millisecond},
		"a lease of 1.5s":        {LeaseTTL: 1500 * time.Millisecond},
		"a lease of 2h0m0s":      {LeaseTTL: 2 * time.Hour},
		"a time below zero":      {Review: -1},
		"a time below zero, too": {RequestTimeout: -1},
	} {
		require.ErrorContains(t, build(o), strings.TrimSuffix(want, ", too"))
	}
	shown := fmt.Sprintf("%v %+v %#v", etcd.Options{Password: "pass"}, etcd.Options{Password: "pass"}, etcd.Options{Password: "pass"})
	require.NotContains(t, shown, "pass\"")
	require.Contains(t, shown, "(secret)")
}

// messages keeps what is logged.
type messages struct {
	mu    sync.Mutex
	lines []string
}

func (l *messages) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func TestWhatTheClientSaysGoesToTheLog(t *testing.T) {
	t.Parallel()
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		var said messages
		logger := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: level}))
		c, err := etcd.New(etcd.Options{Endpoints: []string{address(t)}})(topology.ControlEnv{Self: "a", Stable: newMemory(), Logger: logger})
		require.NoError(t, err)
		_, err = c.Load(t.Context(), "group")
		require.Error(t, err)
		if level > slog.LevelDebug {
			require.Empty(t, said.lines, "the call has said it")
			continue
		}
		require.NotEmpty(t, said.lines)
		require.Contains(t, said.lines[0], "etcd client: ")
		require.Contains(t, said.lines[0], "method=/etcdserverpb.KV/Range")
	}
}
