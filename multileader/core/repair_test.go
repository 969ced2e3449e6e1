package core

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func TestARepairIsReadBackAndNothingElseIs(t *testing.T) {
	p := &Repair{From: 2, Cell: record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}, Expect: Sum{Hi: 1, Lo: 2}, State: []byte("state")}
	b := p.encode()
	require.Equal(t, "98010210c4016bc401660102c4057374617465", hex.EncodeToString(b), "a form is changed under a new number")
	note := func(b []byte) *record.Record {
		return &record.Record{Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkRepair), Value: b}}}
	}
	got, err := RepairOf(note(b))
	require.NoError(t, err)
	require.Equal(t, p, got)
	for n := range b {
		_, err := RepairOf(note(b[:n]))
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
	other := append([]byte(nil), b...)
	other[1] = 9
	_, err = RepairOf(note(other))
	require.ErrorIs(t, err, topology.ErrUnsupported)
	write := note(b)
	write.Dot = version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1}
	got, err = RepairOf(write)
	require.NoError(t, err)
	require.Nil(t, got, "a write of another site repairs nothing")
}
