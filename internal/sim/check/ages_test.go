package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/history"
)

func TestAgesSayHowOldWhatWasReadWas(t *testing.T) {
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	write := func(id uint64, value string, from, to int) history.Op {
		return history.Op{ID: id, Client: 1, Kind: history.Put, Key: "k", Value: value, Invoke: at(from), Return: at(to), Outcome: history.Applied}
	}
	read := func(id uint64, from int, got ...string) history.Op {
		return history.Op{ID: id, Client: 2, Kind: history.Get, Key: "k", Got: got, Invoke: at(from), Return: at(from + 1), Outcome: history.Applied, Want: history.Request{Guarantee: history.Any}}
	}
	c, err := New(Rules{}, []history.Op{
		write(1, "a", 0, 10), write(2, "b", 20, 30), write(3, "c", 40, 50),
		read(4, 60, "c"), read(5, 70, "b"), read(6, 80, "a"), read(7, 90), read(8, 100, "c"),
	})
	require.NoError(t, err)
	type age struct {
		behind int
		by     time.Duration
	}
	var ages []age
	for _, a := range c.Ages() {
		ages = append(ages, age{a.Behind, a.By})
	}
	require.Equal(t, []age{{0, 0}, {1, at(20)}, {2, at(50)}, {3, at(80)}, {0, 0}}, ages)
}
