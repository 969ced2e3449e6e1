package call

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestNamedSaysWhatWasDone(t *testing.T) {
	shared := &topology.Error{Op: "inner", Node: "b", Outcome: topology.NotApplied, Err: topology.ErrNotLeader, Leader: "c", Addr: "c:1"}
	for name, tc := range map[string]struct {
		err  error
		want topology.Error
	}{
		"an engine's error": {shared, topology.Error{Node: "b", Err: topology.ErrNotLeader, Leader: "c", Addr: "c:1"}},
		"any other":         {errors.New("x"), topology.Error{Node: "a", Outcome: topology.Unknown, Err: errors.New("x")}},
		"one within one":    {NotApplied(fmt.Errorf("first: %w", shared)), topology.Error{Node: "a", Err: fmt.Errorf("first: %w", shared), Leader: "c", Addr: "c:1"}},
		"one within another": {fmt.Errorf("around: %w", shared),
			topology.Error{Node: "b", Err: fmt.Errorf("around: %w", shared), Leader: "c", Addr: "c:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Named(tc.err, "put", "a", "users", []byte("k"))
			var e *topology.Error
			require.ErrorAs(t, err, &e)
			tc.want.Op, tc.want.Table, tc.want.Key = "put", "users", []byte("k")
			require.Equal(t, tc.want, *e)
		})
	}
	require.Equal(t, "inner", shared.Op)
	require.Empty(t, shared.Key)
}

func TestNamedKeepsTheKey(t *testing.T) {
	key := []byte("k")
	err := Named(errors.New("x"), "put", "a", "t", key)
	key[0] = 'z'
	var e *topology.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "k", string(e.Key))
}
