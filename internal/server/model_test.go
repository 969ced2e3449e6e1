package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// commands draws commands over few keys, so that they meet.
func commandsOverFewKeys() *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		key := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key") }
		word := func() string { return rapid.SampledFrom([]string{"1", "2", "x", "y"}).Draw(t, "word") }
		form := rapid.SampledFrom([]string{
			"GET k", "SET k w", "SET k w NX GET", "SETNX k w", "GETDEL k", "APPEND k w", "STRLEN k", "INCR k", "DECRBY k 5",
			"MSET k w k w", "MSETNX k w k w", "MGET k k", "DEL k k", "EXISTS k k", "TYPE k", "HSET k w w w w", "HSETNX k w w", "HDEL k w w",
			"HGET k w", "HMGET k w w", "HGETALL k", "HLEN k", "HINCRBY k w 3", "SADD k w w", "SREM k w w", "SMEMBERS k", "SCARD k",
			"SISMEMBER k w", "EXPIRE k 1000", "PERSIST k", "TTL k", "EXPIRE k -1", "GETSET k w",
		}).Draw(t, "form")
		args := strings.Fields(form)
		for i, a := range args {
			switch a {
			case "k":
				args[i] = key()
			case "w":
				args[i] = word()
			}
		}
		return args
	})
}

// However commands come — one by one, as a pipeline, or as a transaction — they
// are answered the same and leave the same.
func TestCommandsPipelinesAndTransactionsAgree(t *testing.T) {
	nodes := [3]*fakeNode{newFake(), newFake(), newFake()}
	var clients [3]*client
	for i, n := range nodes {
		clients[i] = start(t, n, Options{}).dial(t)
	}
	rapid.Check(t, func(rt *rapid.T) {
		commands := rapid.SliceOfN(commandsOverFewKeys(), 1, 20).Draw(rt, "commands")
		var one, pipeline []string
		var raw strings.Builder
		for _, c := range commands {
			one = append(one, clients[0].do(c...))
			raw.WriteString(array(c...))
		}
		clients[1].send(raw.String())
		for range commands {
			pipeline = append(pipeline, clients[1].answer())
		}
		require.Equal(rt, one, pipeline)
		clients[2].send(array("MULTI") + raw.String() + array("EXEC"))
		for range len(commands) + 1 {
			clients[2].answer()
		}
		require.Equal(rt, "["+strings.Join(one, ", ")+"]", clients[2].answer())
		for _, n := range nodes[1:] {
			require.Equal(rt, dump(nodes[0]), dump(n))
		}
	})
}

// dump is what a node holds, without expiries, which the clock decides.
func dump(f *fakeNode) (held []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, c := range f.cells {
		held = append(held, fmt.Sprintf("%d %q %q %d %q %t", c.Table, c.Key, c.Field, f.values[i].Kind, f.values[i].Value, f.values[i].Expires != 0))
	}
	return held
}

// A key's head counts its fields, whatever was done to them.
func TestCountsOfFieldsAreRight(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	rapid.Check(t, func(rt *rapid.T) {
		for _, c := range rapid.SliceOfN(commandsOverFewKeys(), 1, 20).Draw(rt, "commands") {
			cl.do(c...)
		}
		for _, k := range []string{"a", "b", "c"} {
			switch cl.do("TYPE", k) {
			case "hash":
				require.Equal(rt, fmt.Sprintf("(integer) %d", strings.Count(cl.do("HKEYS", k), `"`)/2), cl.do("HLEN", k))
			case "set":
				require.Equal(rt, fmt.Sprintf("(integer) %d", strings.Count(cl.do("SMEMBERS", k), `"`)/2), cl.do("SCARD", k))
			}
		}
	})
}
