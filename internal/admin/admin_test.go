package admin

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func status(role topology.Role) func() topology.Status {
	return func() topology.Status { return topology.Status{Node: "a", Role: role} }
}

// ask is a request of a client at an address.
func ask(a *Admin, method, url, from, token string) (int, string) {
	r := httptest.NewRequest(method, url, nil)
	r.RemoteAddr = from
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const (
	local  = "127.0.0.1:5000"
	remote = "10.1.2.3:5000"
)

func TestHealthAndReadinessFollowTheRole(t *testing.T) {
	for role, want := range map[topology.Role][2]int{
		topology.RoleLeader:      {200, 200},
		topology.RoleFollower:    {200, 200},
		topology.RoleReadReplica: {200, 200},
		topology.RoleCandidate:   {200, 503},
		topology.RoleFailed:      {503, 503},
		"":                       {200, 503},
	} {
		a := New(Options{Status: status(role)})
		health, _ := ask(a, "GET", "/healthz", remote, "")
		ready, _ := ask(a, "GET", "/readyz", remote, "")
		require.Equal(t, want, [2]int{health, ready}, "%q", role)
	}
}

func TestANodeThatDrainsIsWellAndNotReady(t *testing.T) {
	a := New(Options{Status: status(topology.RoleLeader)})
	a.Drain()
	code, _ := ask(a, "GET", "/healthz", remote, "")
	require.Equal(t, 200, code)
	code, body := ask(a, "GET", "/readyz", remote, "")
	require.Equal(t, 503, code)
	require.Equal(t, "draining\n", body)
}

func TestNothingButHealthAnswersWhoIsNotLetIn(t *testing.T) {
	open, closed := New(Options{Status: status(topology.RoleLeader)}), New(Options{Status: status(topology.RoleLeader), Token: "s3cret"})
	for name, tc := range map[string]struct {
		a                        *Admin
		method, url, from, token string
		want                     int
	}{
		"health of anybody":            {closed, "GET", "/healthz", remote, "", 200},
		"readiness of anybody":         {closed, "GET", "/readyz", remote, "", 200},
		"no token":                     {closed, "GET", "http://localhost/status", local, "", 401},
		"a wrong token":                {closed, "GET", "/status", local, "Bearer s3cre", 401},
		"an empty token":               {closed, "GET", "/status", local, "Bearer ", 401},
		"the token without its scheme": {closed, "GET", "/status", local, "s3cret", 401},
		"the token":                    {closed, "GET", "/status", remote, "Bearer s3cret", 200},
		"what is not there":            {closed, "GET", "/metrics", remote, "", 401},
		"pprof":                        {closed, "GET", "/debug/pprof/", remote, "", 401},
		"the root":                     {closed, "GET", "/", remote, "", 401},
		"a write to health":            {closed, "POST", "/healthz", remote, "", 401},
		"an order":                     {closed, "POST", "/api/v1/failover", remote, "", 401},
		"the cluster":                  {closed, "GET", "/api/v1/status", remote, "", 401},
		"metrics, let in":              {closed, "GET", "/metrics", remote, "Bearer s3cret", 200},
		"an order without any token":   {open, "POST", "http://localhost/api/v1/failover", local, "", 403},
		"an order, asked for":          {open, "GET", "http://localhost/api/v1/failover", local, "", 405},
		"no token, from elsewhere":     {open, "GET", "http://localhost/status", remote, "", 401},
		"no token, a page's name":      {open, "GET", "http://evil.example/status", local, "", 401},
		"no token, on this machine":    {open, "GET", "http://localhost:8400/status", local, "", 200},
		"the same on IPv6":             {open, "GET", "http://[::1]:8400/status", "[::1]:5000", "", 200},
		"another method":               {open, "POST", "http://localhost/status", local, "", 405},
		"what is not there, let in":    {open, "GET", "http://localhost/nope", local, "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := ask(tc.a, tc.method, tc.url, tc.from, tc.token)
			require.Equal(t, tc.want, code)
			require.NotContains(t, body, "s3cret")
		})
	}
}

func TestStatusSaysWhatTheNodeKnows(t *testing.T) {
	a := New(Options{Status: func() topology.Status {
		return topology.Status{Node: "a", Role: topology.RoleLeader, Commit: 7, Lag: topology.Lag{Time: time.Second},
			Peers: []topology.PeerStatus{{Node: "b", State: "down"}}}
	}})
	code, body := ask(a, "GET", "http://localhost/status", local, "")
	require.Equal(t, 200, code)
	var s Status
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	require.EqualValues(t, 7, s.Log.Commit)
	require.InDelta(t, 1, s.Lag.Seconds, 0)
	require.Equal(t, "down", s.Peers[0].State)
}

// filled is a value of a type with no field zero.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for i := range v.NumField() {
			filled(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(time.Second))
	default:
		v.SetUint(1)
	}
}

func TestEveryFieldOfAStatusIsAnswered(t *testing.T) {
	var s topology.Status
	filled(reflect.ValueOf(&s).Elem())
	got := StatusOf(s)
	var missing func(v reflect.Value, path string)
	missing = func(v reflect.Value, path string) {
		require.False(t, v.IsZero(), path)
		switch {
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			missing(v.Index(0), path+"[0]")
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				missing(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
		}
	}
	missing(reflect.ValueOf(got), "Status")
	require.Equal(t, reflect.TypeOf(s.Standing).NumField(), reflect.TypeOf(got.Standing).NumField()+1) // the delay stands elsewhere
	require.Equal(t, reflect.TypeOf(s).NumField()+1, reflect.TypeOf(got).NumField()+reflect.TypeOf(got.Log).NumField()-1)
	require.Equal(t, reflect.TypeOf(s.Peers[0]).NumField(), reflect.TypeOf(got.Peers[0]).NumField())
	require.Equal(t, reflect.TypeOf(s.Sites[0]).NumField(), reflect.TypeOf(got.Sites[0]).NumField())
}

// serve runs the port until the test ends.
func serve(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- New(Options{Status: status(topology.RoleLeader)}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return l.Addr().String()
}

func TestThePortIsServedAndEndsWithItsContext(t *testing.T) {
	addr := serve(t)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + addr + "/readyz")
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, "yes\n", string(body))
}

func TestConnectionsBeyondTheLimitWaitForAPlace(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := limit(inner, 2)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		return c
	}
	for range 3 {
		defer dial().Close()
	}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	first, second := <-accepted, <-accepted
	require.Len(t, l.(*limited).room, 2) // a third has to find a place there first
	require.NoError(t, first.Close())
	require.Error(t, first.Close()) // and gives no second place back
	third := <-accepted
	require.NoError(t, second.Close())
	require.NoError(t, third.Close())
	require.NoError(t, l.Close())
	<-accepted
}

func TestAHugeHeaderIsRefused(t *testing.T) {
	addr := serve(t)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
	require.NoError(t, err)
	chunk := make([]byte, 4<<10)
	for i := range chunk {
		chunk[i] = 'x'
	}
	for range 2 * headerBytesMax / len(chunk) {
		if _, err = c.Write(chunk); err != nil {
			break // it is closed already
		}
	}
	answer, _ := io.ReadAll(c) // a reset may cut it
	if len(answer) > 0 {
		require.Contains(t, string(answer), "431")
	}
}
