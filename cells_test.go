package triad_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

func TestANodeAsCells(t *testing.T) {
	n, err := triad.Open(triad.Config{Dir: t.TempDir(), Topology: singleleader.New(singleleader.Options{}), Tables: []triad.Table{{Name: "users", Kind: record.KindRow}}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, n.Close())
	})
	require.Eventually(t, func() bool { // the leader defines the table first
		_, err = n.Put(ctx, "users", []byte("1"), []byte{0x81, 0xa1, 'a', 1})
		return err == nil
	}, 10*time.Second, time.Millisecond)
	c := n.Cells()
	users, err := c.Table(ctx, "users")
	require.NoError(t, err)
	require.Equal(t, triad.CellTable{ID: record.TableFirst, Kind: record.KindRow}, users)
	_, err = c.Table(ctx, "nobody")
	require.ErrorIs(t, err, topology.ErrNoTable)

	r, err := c.Read(ctx, users.ID, []byte("1"), topology.ReadOptions{Whole: true})
	require.NoError(t, err)
	require.Len(t, r.Cells, 2)

	cell := record.Cell{Table: record.TableDefault, Key: []byte("n")}
	us := make([]topology.Update, 3)
	for i := range us {
		us[i] = topology.Update{Reads: []topology.CellRange{{Cell: cell}}, Decide: func(s topology.Sight) ([]record.Mutation, error) {
			n := len(s.Cells(0))
			if n > 0 {
				n, _ = strconv.Atoi(string(s.Cells(0)[0].Value))
			}
			return []record.Mutation{{Table: cell.Table, Key: cell.Key, Op: record.OpPut, Kind: record.KindBytes, Value: []byte(strconv.Itoa(n + 1))}}, nil
		}}
	}
	c.Update(ctx, us, topology.WriteOptions{})
	for _, u := range us {
		require.NoError(t, u.Err)
	}
	for c, err := range c.Scan(ctx, record.TableDefault, nil, nil, topology.ReadOptions{}) {
		require.NoError(t, err)
		require.Equal(t, "3", string(c.Value))
	}
	require.Equal(t, topology.RoleLeader, c.Status().Role)
}
