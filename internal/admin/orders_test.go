package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// obedient carries out every order, or fails with err.
type obedient struct {
	err  error
	done []string
}

func (o *obedient) Promote(_ context.Context, force bool) (topology.Promotion, error) {
	o.done = append(o.done, fmt.Sprintf("promote %t", force))
	return topology.Promotion{Term: 7, Leader: "a", Start: 9}, o.err
}

func (o *obedient) Switchover(_ context.Context, to topology.NodeID) (topology.Promotion, error) {
	o.done = append(o.done, fmt.Sprintf("switch to %s", to))
	return topology.Promotion{Term: 8, Leader: to}, o.err
}

func (o *obedient) Pause(_ context.Context, paused bool) error {
	o.done = append(o.done, fmt.Sprintf("pause %t", paused))
	return o.err
}

func (o *obedient) AddMember(_ context.Context, s topology.Seat) error {
	o.done = append(o.done, fmt.Sprintf("add %s at %s, %s, %t", s.ID, s.Addr, s.Role, s.Votes))
	return o.err
}

func (o *obedient) RemoveMember(_ context.Context, id topology.NodeID) error {
	o.done = append(o.done, fmt.Sprintf("remove %s", id))
	return o.err
}

func (o *obedient) Restore(_ context.Context, to topology.Point, giveUp uint64) (topology.Restoration, error) {
	o.done = append(o.done, fmt.Sprintf("restore to %d or %s, giving up %d", to.LSN, to.Time.Format("15:04:05"), giveUp))
	p := topology.Restoration{At: 7, Last: 9, Records: 2}
	if giveUp > 0 {
		p.Term = 1027
	}
	return p, o.err
}

func post(a *Admin, path, body string) (int, string) {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.RemoteAddr = remote
	r.Header.Set("Authorization", "Bearer t")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestOrdersAreCarriedOutOrRefusedWithAReason(t *testing.T) {
	led := &topology.Error{Op: "switchover", Outcome: topology.NotApplied, Err: topology.ErrNotLeader, Leader: "b"}
	for name, tc := range map[string]struct {
		path, body string
		err        error
		code       int
		did, says  string
	}{
		"a failover":                   {"/api/v1/failover", `{}`, nil, 200, "promote false", `"term": 7`},
		"without a body":               {"/api/v1/failover", ``, nil, 200, "promote false", `"leader": "a"`},
		"by force":                     {"/api/v1/failover", `{"to": "a", "force": true}`, nil, 200, "promote true", `"missed": []`},
		"to another node":              {"/api/v1/failover", `{"to": "b"}`, nil, 421, "", "ask that of b"},
		"an unavailable one":           {"/api/v1/failover", `{}`, topology.ErrUnavailable, 503, "promote false", "unavailable"},
		"a switchover":                 {"/api/v1/switchover", `{"to": "b"}`, nil, 200, "switch to b", `"leader": "b"`},
		"at a follower":                {"/api/v1/switchover", `{"to": "c"}`, led, 421, "switch to c", `"leader": "b"`},
		"to nobody":                    {"/api/v1/switchover", `{}`, nil, 400, "", "not a node's name"},
		"a pause":                      {"/api/v1/pause", `{"paused": true}`, nil, 200, "pause true", `"paused": true`},
		"its end":                      {"/api/v1/pause", `{"paused": false}`, nil, 200, "pause false", `"paused": false`},
		"a member":                     {"/api/v1/member/add", `{"node": "d", "addr": "h:1"}`, nil, 200, "add d at h:1, voter, false", `"added": "d"`},
		"a replica that votes":         {"/api/v1/member/add", `{"node": "d", "addr": "h:1", "role": "read-replica", "vote": true}`, nil, 200, "add d at h:1, read-replica, true", `"added"`},
		"a king":                       {"/api/v1/member/add", `{"node": "d", "role": "king"}`, nil, 400, "", "is none"},
		"a member without a name":      {"/api/v1/member/add", `{}`, nil, 400, "", "not a node's name"},
		"a member less":                {"/api/v1/member/remove", `{"node": "d"}`, nil, 200, "remove d", `"removed": "d"`},
		"nobody less":                  {"/api/v1/member/remove", `{}`, nil, 400, "", "not a node's name"},
		"who is none":                  {"/api/v1/member/remove", `{"node": "x"}`, topology.ErrNotFound, 404, "remove x", "not found"},
		"while another goes":           {"/api/v1/member/remove", `{"node": "d"}`, topology.ErrConflict, 409, "remove d", "conflict"},
		"what a restore would give up": {"/api/v1/restore", `{"to": "a", "time": "2026-01-02T15:04:05Z"}`, nil, 200, "restore to 0 or 15:04:05, giving up 0", `"done": false`},
		"a restore":                    {"/api/v1/restore", `{"to": "a", "at": 7, "give_up": 2}`, nil, 200, "restore to 7 or 00:00:00, giving up 2", `"given_up_records": 2`},
		"more than may be given up":    {"/api/v1/restore", `{"to": "a", "at": 7, "give_up": 1}`, topology.ErrConflict, 409, "restore to 7 or 00:00:00, giving up 1", "conflict"},
		"a restore of another node":    {"/api/v1/restore", `{"to": "b", "at": 7}`, nil, 421, "", "ask that of b"},
		"a restore of nobody":          {"/api/v1/restore", `{"at": 7}`, nil, 400, "", "not a node's name"},
		"a restore to no point":        {"/api/v1/restore", `{"to": "a"}`, nil, 400, "", "where to go on from"},
		"a restore to two points":      {"/api/v1/restore", `{"to": "a", "at": 7, "time": "2026-01-02T15:04:05Z"}`, nil, 400, "", "where to go on from"},
		"a time that is none":          {"/api/v1/restore", `{"to": "a", "time": "noon"}`, nil, 400, "", "malformed"},
		"neither":                      {"/api/v1/pause", `{}`, nil, 400, "", "true or false"},
		"where nobody elects":          {"/api/v1/pause", `{"paused": true}`, topology.ErrUnsupported, 501, "pause true", "unsupported"},
		"another order's word":         {"/api/v1/pause", `{"to": "b"}`, nil, 400, "", `there is no \"to\"`},
		"an array":                     {"/api/v1/pause", `[]`, nil, 400, "", "no JSON object"},
		"a word that is no truth":      {"/api/v1/pause", `{"paused": 1}`, nil, 400, "", "malformed"},
		"a query":                      {"/api/v1/failover?force=true", ``, nil, 400, "", "not in the query"},
		"more than an order may be":    {"/api/v1/failover", `{"to": "` + strings.Repeat("a", orderBytesMax) + `"}`, nil, 413, "", "more than"},
		"an order that there is not":   {"/api/v1/drop", `{}`, nil, 404, "", ""},
		"a timeout of unknown outcome": {"/api/v1/failover", `{}`, &topology.Error{Outcome: topology.Unknown, Err: topology.ErrTimeout}, 504, "promote false", "outcome unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &obedient{err: tc.err}
			a := New(Options{Status: status(topology.RoleLeader), Orders: o, Token: "t"})
			code, body := post(a, tc.path, tc.body)
			require.Equal(t, tc.code, code, body)
			require.Equal(t, tc.did, strings.Join(o.done, ", "))
			require.Contains(t, body, tc.says)
		})
	}
	code, body := post(New(Options{Status: status(topology.RoleLeader), Token: "t"}), "/api/v1/failover", "")
	require.Equal(t, 501, code, body)
}

func TestMetricsAndTheOverviewShowTheCluster(t *testing.T) {
	leader := topology.Status{
		Node: "a", Role: topology.RoleLeader, Term: 3, End: 9, Commit: 8,
		Peers: []topology.PeerStatus{{Node: "b", State: "replicate", Sync: true, Sent: 9, Written: 9, Flushed: 8, Applied: 7, Lag: topology.Lag{Records: 2, Bytes: 200, Time: 1500000000}}},
	}
	var silences topology.Silences
	silences.Note(3 * time.Millisecond)
	silences.Note(time.Minute)
	a := New(Options{
		Status: func() topology.Status { return leader }, Version: "v9", Token: "t",
		Counts: func() topology.Counts {
			return topology.Counts{Fsyncs: 4, Errors: map[string]uint64{"timed out/outcome unknown": 2}, Rewound: topology.Rewound{Records: 5}, Silences: silences}
		},
		Survey: func(context.Context) []Answer {
			return []Answer{{Addr: "h:1", Status: leader}, {Addr: "h:2", Err: topology.ErrUnavailable}}
		},
	})
	_, text := ask(a, "GET", "/metrics", remote, "Bearer t")
	for _, line := range []string{
		"triad_term 3", `triad_role{role="leader"} 1`, `triad_role{role="follower"} 0`, `triad_lsn{at="commit"} 8`,
		`triad_peer_lag{peer="b",unit="seconds"} 1.5`, `triad_peer_lag{peer="b",unit="bytes"} 200`, `triad_peer_lsn{at="sent",peer="b"} 9`,
		`triad_errors_total{outcome="outcome unknown",reason="timed out"} 2`, "triad_failover_lost_records 5", "triad_log_fsyncs_total 4",
		`triad_build{version="v9"} 1`, "go_goroutines ", `triad_reads_total{consistency="linearizable"} 0`,
		`triad_leader_silence_seconds_bucket{le="0.002"} 0`, `triad_leader_silence_seconds_bucket{le="0.005"} 1`, "triad_leader_silence_seconds_count 2",
	} {
		require.Contains(t, text, line)
	}
	_, text = ask(a, "GET", "/api/v1/status", remote, "Bearer t")
	var o Overview
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	require.Len(t, o.Members, 2)
	require.Equal(t, Member{
		Node: "b", Role: "unknown", State: "replicate", Commit: "sync", SentLSN: 9, WriteLSN: 9, FlushLSN: 8, ReplayLSN: 7,
		LagRecords: 2, LagBytes: 200, LagSeconds: 1.5, Problem: "it does not answer",
	}, o.Members[1])
}
