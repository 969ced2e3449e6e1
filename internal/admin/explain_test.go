package admin

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestAnExplanationIsJSONOrAReason(t *testing.T) {
	x := topology.Explanation{Term: 3, Leader: "a", Winner: "b", Why: "b would be elected", Contenders: []topology.Contender{{Node: "a", Role: topology.RoleLeader}, {Node: "b", Behind: 4}}}
	for name, tc := range map[string]struct {
		o    Options
		addr string
		code int
		says string
	}{
		"one":              {Options{Explain: func(context.Context) (topology.Explanation, error) { return x, nil }}, local, 200, `"winner": "b"`},
		"empty lists":      {Options{Explain: func(context.Context) (topology.Explanation, error) { return x, nil }}, local, 200, `"reasons": []`},
		"no group yet":     {Options{Explain: func(context.Context) (topology.Explanation, error) { return x, topology.ErrUnavailable }}, local, 503, `"error": "unavailable"`},
		"nobody can tell":  {Options{}, local, 501, "can not tell"},
		"without a token":  {Options{Token: "t", Explain: func(context.Context) (topology.Explanation, error) { return x, nil }}, local, 401, "token"},
		"from another one": {Options{Explain: func(context.Context) (topology.Explanation, error) { return x, nil }}, remote, 401, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Status = status(topology.RoleLeader)
			r := httptest.NewRequest("GET", "http://localhost/api/v1/failover/explain", nil)
			r.RemoteAddr = tc.addr
			w := httptest.NewRecorder()
			New(tc.o).Handler().ServeHTTP(w, r)
			require.Equal(t, tc.code, w.Code, w.Body.String())
			require.Contains(t, w.Body.String(), tc.says)
		})
	}
}
