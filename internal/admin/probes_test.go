package admin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestBalancersAreToldWhatANodeIsFor(t *testing.T) {
	now := time.Now()
	leader := topology.Status{Role: topology.RoleLeader, Standing: topology.Standing{Reached: now}}
	follower := topology.Status{Role: topology.RoleFollower, Lag: topology.Lag{Records: 100, Bytes: 1 << 20}, Standing: topology.Standing{Stale: time.Second}}
	with := func(s topology.Status, f func(*topology.Status)) topology.Status { f(&s); return s }
	synced := with(follower, func(s *topology.Status) { s.Sync = true })
	replica := with(follower, func(s *topology.Status) { s.Role = topology.RoleReadReplica })
	for name, tc := range map[string]struct {
		s    topology.Status
		path string
		want int
	}{
		"a leader":                         {leader, "/leader", 200},
		"one that nobody answers":          {with(leader, func(s *topology.Status) { s.Reached = now.Add(-time.Minute) }), "/leader", 503},
		"one that nobody has answered yet": {with(leader, func(s *topology.Status) { s.Reached = time.Time{} }), "/leader", 503},
		"a leader without its tables":      {with(leader, func(s *topology.Status) { s.Undefined = []string{"users"} }), "/leader", 503},
		"readiness without tables":         {with(leader, func(s *topology.Status) { s.Undefined = []string{"users"} }), "/readyz", 503},
		"life without tables":              {with(leader, func(s *topology.Status) { s.Undefined = []string{"users"} }), "/livez", 200},
		"a leader is no replica":           {leader, "/replica", 503},
		"a leader is no sync standby":      {leader, "/sync", 503},
		"a follower does not lead":         {follower, "/leader", 503},
		"a follower":                       {follower, "/replica", 200},
		"one that is not waited for":       {follower, "/sync", 503},
		"one that is":                      {synced, "/sync", 200},
		"a follower is no read replica":    {follower, "/read-replica", 503},
		"a read replica":                   {replica, "/read-replica", 200},
		"which is a replica":               {replica, "/replica", 200},
		"records in time":                  {follower, "/replica?lag=100", 200},
		"too many records":                 {follower, "/replica?lag=99", 503},
		"bytes in time":                    {follower, "/replica?lag=1MB", 200},
		"too many bytes":                   {follower, "/replica?lag=1023kB", 503},
		"in time":                          {follower, "/replica?lag=1s", 200},
		"not in time":                      {follower, "/replica?lag=999ms", 503},
		"all of several":                   {follower, "/replica?lag=100&lag=2s", 200},
		"not all of several":               {follower, "/replica?lag=100&lag=0.5s", 503},
		"the tighter of two":               {follower, "/replica?lag=100&lag=10", 503},
		"a read replica that is late":      {replica, "/read-replica?lag=0", 503},
		"one that does not know":           {with(follower, func(s *topology.Status) { s.Stale = -1 }), "/replica?lag=1h", 503},
		"and is not asked":                 {with(follower, func(s *topology.Status) { s.Stale = -1 }), "/replica", 200},
		"no number":                        {follower, "/replica?lag=much", 400},
		"a negative one":                   {follower, "/replica?lag=-1", 400},
		"another word":                     {follower, "/replica?lags=1MB", 400},
		"a broken query":                   {follower, "/replica?lag=%zz", 400},
		"a candidate":                      {topology.Status{Role: topology.RoleCandidate}, "/replica", 503},
		"a failed one":                     {topology.Status{Role: topology.RoleFailed}, "/livez", 503},
	} {
		t.Run(name, func(t *testing.T) {
			a := New(Options{Status: func() topology.Status { return tc.s }})
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				code, body := ask(a, method, tc.path, remote, "")
				require.Equal(t, tc.want, code, body)
			}
		})
	}
}

func FuzzLags(f *testing.F) {
	for _, q := range []string{"lag=1", "lag=1MB", "lag=500ms", "lag=1&lag=2s", "lag=9223372036854775807TB", "lag=-1", "x=1", "lag=%41"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		b, err := lags(q)
		if err != nil {
			return
		}
		// What is read is no bound or one that nothing is behind.
		require.GreaterOrEqual(t, min(b.records, b.bytes, int64(b.time)), int64(-1))
		require.True(t, b.met(&topology.Status{}))
	})
}
