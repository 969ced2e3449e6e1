package triad_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestANodeAsCells(t *testing.T) {
	ctx, n := t.Context(), alone(t)
	require.NoError(t, n.CreateTable(ctx, triad.Table{Name: "users", Kind: record.KindRow}))
	_, err := n.Put(ctx, "users", []byte("1"), []byte{0x81, 0xa1, 'a', 1})
	require.NoError(t, err)
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
