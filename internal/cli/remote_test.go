package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/triad-kv/triad/record"
)

// fields reads a JSON object.
func fields(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m), "%s", text)
	return m
}

func TestARowIsWrittenReadAndRemoved(t *testing.T) {
	serve(t)
	r := fields(t, succeed(t, "put", "users", "1001", `{"name":"Zoë","age":41,"x":1.5,"tags":["a",{"b":null}],"ok":true}`, "-o", "json"))
	require.Equal(t, "flushed", r["durability"])
	require.Equal(t, []any{"a"}, r["durable"])
	got := fields(t, succeed(t, "get", "users", "1001", "-o", "json", "--after", r["token"].(string)))
	require.Equal(t, r["transaction"], got["transaction"])
	require.Equal(t, "a", got["served"])
	require.Equal(t, "session", got["guarantee"])
	require.Equal(t, map[string]any{"name": "Zoë", "age": 41.0, "x": 1.5, "ok": true, "tags": []any{"a", map[string]any{"b": nil}}},
		got["value"].(map[string]any)["columns"])

	var fromYAML map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(succeed(t, "get", "users", "1001", "-o", "yaml")), &fromYAML))
	require.Equal(t, "1001", fromYAML["key"].(map[string]any)["text"], "a key is text, whatever it looks like")
	require.Equal(t, 41, fromYAML["value"].(map[string]any)["columns"].(map[string]any)["age"])
	require.Regexp(t, `(?m)^1001  \{"age":41,"name":"Zoë",.*  1\.1:\d+ +a +linearizable +0s$`, succeed(t, "get", "users", "1001"))

	succeed(t, "del", "users", "1001", "--if-version", r["transaction"].(string))
	require.Contains(t, failing(t, exitFailed, "get", "users", "1001"), "not found")
}

func TestConditionsHoldOrTheCommandFails(t *testing.T) {
	serve(t)
	succeed(t, "put", "files", "k", "one", "--if-absent", "--durability", "applied")
	require.Contains(t, failing(t, exitFailed, "put", "files", "k", "two", "--if-absent"), "condition failed")
	succeed(t, "put", "files", "k", "two", "--if-value", "one")
	failing(t, exitFailed, "put", "files", "k", "three", "--if-value", "one")
	failing(t, exitFailed, "del", "files", "k", "--if-version", "1.1:1")
	require.Equal(t, "two", succeed(t, "get", "files", "k", "--raw"))
}

func TestBytesThatAreNoTextStayWhatTheyAre(t *testing.T) {
	serve(t)
	value := "\x00\xff\x1b[31m\n"
	r := commandWith(t, strings.NewReader(value), "put", "default", "odd\n", "-")
	require.Equal(t, exitDone, r.code, "%s", r.errs)
	require.Equal(t, value, succeed(t, "get", "default", "odd\n", "--raw"))
	table := succeed(t, "get", "default", "odd\n")
	require.NotContains(t, table, "\x1b")
	require.Equal(t, 2, strings.Count(table, "\n"))
	got := fields(t, succeed(t, "get", "default", "odd\n", "-o", "json"))
	require.Equal(t, map[string]any{"base64": "AP8bWzMxbQo=", "bytes": 8.0}, got["value"])
	require.Equal(t, map[string]any{"text": "odd\n", "bytes": 4.0}, got["key"])
}

func TestAScanShowsAPartOfATable(t *testing.T) {
	serve(t)
	for _, k := range []string{"a", "b1", "b2", "b3", "c", "\xff"} {
		succeed(t, "put", "files", k, strings.Repeat(k, 100))
	}
	keys := func(args ...string) string {
		var items []struct{ Key struct{ Text, Base64 string } }
		require.NoError(t, json.Unmarshal([]byte(succeed(t, append([]string{"scan", "files", "--keys", "-o", "json"}, args...)...)), &items))
		var ks []string
		for _, i := range items {
			ks = append(ks, i.Key.Text+i.Key.Base64)
		}
		return strings.Join(ks, " ")
	}
	require.Equal(t, "a b1 b2 b3 c /w==", keys())
	require.Equal(t, "b1 b2 b3", keys("--prefix", "b"))
	require.Equal(t, "/w==", keys("--prefix", "\xff"))
	require.Equal(t, "b2 b3", keys("--from", "b2", "--to", "c"))
	require.Equal(t, "a b1", keys("--limit", "2"))
	require.Empty(t, keys("--from", "d", "--to", "d"))
	table := succeed(t, "scan", "files", "--limit", "2")
	require.Contains(t, table, "… and more: the first 2")
	require.Contains(t, table, strings.Repeat("a", 60)+"…  ", "a long value is cut")
	require.NotContains(t, table, strings.Repeat("a", 61))
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	serve(t)
	require.Contains(t, failing(t, exitUsage, "put", "users", "1", "Alice"), "a row is a JSON object")
	require.Contains(t, failing(t, exitUsage, "put", "users", "1", "null"), "it is null")
	require.Contains(t, failing(t, exitUsage, "put", "users", "1", `{"a":1} {}`), "something follows")
	require.Contains(t, failing(t, exitFailed, "put", "nowhere", "1", "x"), "no such table; `triad table list` shows")
	require.Contains(t, failing(t, exitFailed, "put", "files", "", "x"), "an empty key")
	r := commandWith(t, bytes.NewReader(make([]byte, record.ValueBytesMax+1)), "put", "files", "k", "-")
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.errs, "more than 16.0 MiB")
}

func TestStatusShowsWhoLeadsAndWhoIsSilent(t *testing.T) {
	h := serve(t)
	require.Regexp(t, `(?m)^cluster triad: single-leader, a leads term 1, commits wait for async$`, succeed(t, "status"))
	require.Regexp(t, `(?m)^a +leader +leads +- +1 +\d+ +\d+ +\d+ +\d+ +0 +0 B +0s +- +- +`+h.addr+`$`, succeed(t, "status"))
	o := fields(t, succeed(t, "status", "--endpoints", h.addr+",127.0.0.1:1", "-o", "json"))
	require.Equal(t, "a", o["leader"])
	require.Len(t, o["members"], 1)
	require.Equal(t, "127.0.0.1:1", o["silent"].([]any)[0].(map[string]any)["address"])
}

func TestNobodyThereIsCode3AndSaysWhatToDo(t *testing.T) {
	t.Setenv("TRIAD_ENDPOINTS", "127.0.0.1:1")
	for _, line := range []string{"status", "table list", "table create t --kind set", "table drop t --yes", "get users 1", "put users 1 {}", "del users 1", "scan users", "failover --to a"} {
		t.Run(line, func(t *testing.T) {
			require.Contains(t, failing(t, exitNotReady, strings.Fields(line)...), "start a cluster with `triad demo`")
		})
	}
}

func TestAClusterOfAnotherNameDoesNotAnswer(t *testing.T) {
	serve(t)
	require.Contains(t, failing(t, exitUsage, "status", "--cluster", "other"), "name its cluster with --cluster")
}

func TestAFailoverNeedsANodeThatDoesNotLead(t *testing.T) {
	serve(t)
	require.Contains(t, failing(t, exitFailed, "failover", "--to", "a"), "a leads already, in term 1")
	require.Contains(t, failing(t, exitNotReady, "failover", "--to", "b"), "b was not reached; these were: a")
}

func TestTablesAreListedAndCompleted(t *testing.T) {
	serve(t)
	require.Equal(t, "TABLE    KIND   TTL\ndefault  any    -\nfiles    bytes  -\nusers    row    -\n", succeed(t, "table", "list"))
	require.Contains(t, completed(t, "__complete", "get", ""), "users\trow\n")
	require.Contains(t, failing(t, exitUsage, "tables"), "did you mean table?")
}

func TestTablesAreDefinedAndDropped(t *testing.T) {
	serve(t)
	require.Equal(t, "table carts is defined\n", succeed(t, "table", "create", "carts", "--kind", "counter", "--ttl", "90m"))
	succeed(t, "table", "create", "carts", "--kind", "counter", "--ttl", "90m")
	require.Contains(t, succeed(t, "table", "list"), "carts    counter  1h30m0s\n")
	var shown []tableShown
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "table", "list", "-o", "json")), &shown))
	require.Equal(t, tableShown{Name: "carts", Kind: "counter", TTL: "1h30m0s"}, shown[0])
	require.NoError(t, yaml.Unmarshal([]byte(succeed(t, "table", "list", "-o", "yaml")), &shown))
	require.Equal(t, "any", shown[1].Kind)
	require.Contains(t, failing(t, exitFailed, "table", "create", "carts", "--kind", "set"),
		"table carts (set) was asked for, and is defined as carts (counter, TTL 1h30m0s): a definition never changes")
	require.Contains(t, failing(t, exitUsage, "table", "create", "x"), "--kind: none was given; one of bytes, row, set, map, counter, flag, max, min, hll, any")
	require.Contains(t, failing(t, exitUsage, "table", "create", "x", "--kind", "text"), "none of bytes, row")
	require.Contains(t, failing(t, exitUsage, "table", "create", "x", "--kind", "set", "--ttl", "1us"), "whole milliseconds")
	require.Contains(t, failing(t, exitFailed, "table", "create", "No", "--kind", "set"), "not a table's name")

	succeed(t, "put", "carts", "k", "41")
	require.Equal(t, "41", succeed(t, "get", "carts", "k", "--raw"), "a counter is put and read as its number")
	require.Contains(t, failing(t, exitFailed, "put", "carts", "k", "x"), "not an integer")
	require.Contains(t, failing(t, exitUsage, "table", "drop", "carts"), "give --yes if that is meant")
	require.Equal(t, "table carts is dropped\n", succeed(t, "table", "drop", "carts", "--yes"))
	require.Contains(t, failing(t, exitFailed, "get", "carts", "k"), "no such table")
	require.Contains(t, failing(t, exitFailed, "table", "drop", "carts", "--yes"), "no such table")
	require.Contains(t, failing(t, exitFailed, "table", "drop", "users", "--yes"), "the configuration of node a names table users")
	require.Contains(t, failing(t, exitFailed, "table", "drop", "default", "--yes"), "always exists")
}

// completed is succeed for the shell's own command, which talks on standard error.
func completed(t *testing.T, args ...string) string {
	t.Helper()
	r := command(t, args...)
	require.Equal(t, exitDone, r.code)
	return r.out
}

func TestResolveTellsWhatBecameOfAWrite(t *testing.T) {
	serve(t)
	w := fields(t, succeed(t, "put", "files", "k", "v", "-o", "json"))
	require.Contains(t, succeed(t, "resolve", w["token"].(string)), "applied")
	require.Regexp(t, `(?m)^1\.\d+:\d+@7 +not applied`, succeed(t, "resolve", w["transaction"].(string)+"@7"))
	require.Contains(t, succeed(t, "resolve", w["transaction"].(string)), "unknown")
	require.Contains(t, failing(t, exitFailed, "resolve", "9.9:1@1"), "is no write of this group")
}
