package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// pair runs a leader and a follower on loopback, whose disks are in memory.
func pair(t *testing.T) (leader, follower ledger) {
	t.Helper()
	var members []triad.Member
	listeners := map[topology.NodeID]net.Listener{}
	for _, id := range []topology.NodeID{"a", "b"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[id] = l
		members = append(members, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	open := func(id topology.NodeID) ledger {
		n, err := triad.Open(triad.Config{
			ID: id, Dir: "data/" + string(id), FS: vfs.NewMem(), Listener: listeners[id], Members: members, Leader: "a", Tables: tables,
			Topology: singleleader.New(singleleader.Options{Sync: quorum.Any(1, "b")}),
		})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- n.Run(context.Background()) }()
		t.Cleanup(func() { require.NoError(t, errors.Join(n.Close(), <-done)) })
		return newLedger(n)
	}
	leader, follower = open("a"), open("b")
	for _, l := range []ledger{leader, follower} {
		require.Eventually(t, func() bool { // the leader defines them first
			all, err := l.node.Tables(t.Context(), triad.Any())
			return err == nil && len(all) == len(tables)+1
		}, 30*time.Second, time.Millisecond)
	}
	return leader, follower
}

func fund(t *testing.T, l ledger, accounts int) (last topology.Token) {
	t.Helper()
	for i := range accounts {
		r, err := l.accounts.Put(t.Context(), fmt.Sprint(i), Account{100}, triad.IfAbsent())
		require.NoError(t, err)
		last = r.Token
	}
	return last
}

func total(t *testing.T, l ledger, opts ...triad.Option) (sum int64) {
	t.Helper()
	for row, err := range l.accounts.Scan(t.Context(), "", "", opts...) {
		require.NoError(t, err)
		require.GreaterOrEqual(t, row.Value.Cents, int64(0))
		sum += row.Value.Cents
	}
	return sum
}

func TestTransfersAtOnceNeitherMakeNorLoseMoney(t *testing.T) {
	leader, follower := pair(t)
	const accounts, writers, each = 4, 6, 10
	require.NoError(t, follower.node.Wait(t.Context(), fund(t, leader, accounts)))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				_, err := leader.transfer(ctx, Transfer{
					ID: fmt.Sprintf("%d-%d", w, i), From: fmt.Sprint(w % accounts), To: fmt.Sprint((w + i + 1) % accounts), Cents: int64(1 + i),
				})
				if err != nil && !errors.Is(err, topology.ErrConflict) { // to itself, or without cover
					t.Error(err)
				}
			}
		})
	}
	watched := make(chan struct{})
	go func() { wait.Wait(); close(watched) }()
	for running := true; running; {
		require.EqualValues(t, 100*accounts, total(t, follower, triad.Any()), "a scan is of one moment")
		select {
		case <-watched:
			running = false
		default:
		}
	}
	require.EqualValues(t, 100*accounts, total(t, leader))
	require.EqualValues(t, 100*accounts, total(t, follower))
}

func TestATransferThatIsSentAgainHappensOnce(t *testing.T) {
	leader, _ := pair(t)
	fund(t, leader, 2)
	for range 3 {
		_, err := leader.transfer(t.Context(), Transfer{ID: "x", From: "0", To: "1", Cents: 60})
		require.NoError(t, err)
	}
	a, err := leader.accounts.Get(t.Context(), "0")
	require.NoError(t, err)
	require.EqualValues(t, 40, a.Cents)
	_, err = leader.transfer(t.Context(), Transfer{ID: "y", From: "0", To: "1", Cents: 60})
	require.ErrorIs(t, err, topology.ErrConflict, "no cover")
}

func TestAFollowerShowsWhatItsReaderHasWritten(t *testing.T) {
	leader, follower := pair(t)
	at, near := httptest.NewServer(leader.handler()), httptest.NewServer(follower.handler())
	t.Cleanup(at.Close)
	t.Cleanup(near.Close)
	send := func(method, url, body, after string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("After", after)
		r, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Body.Close()) }()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r, string(text)
	}
	for _, name := range []string{"alice", "bob"} {
		r, _ := send("PUT", at.URL+"/accounts/"+name, `{"cents":100}`, "")
		require.Equal(t, http.StatusOK, r.StatusCode)
	}
	for i := range 10 {
		r, _ := send("POST", at.URL+"/transfers", fmt.Sprintf(`{"id":"t%d","from":"alice","to":"bob","cents":1}`, i), "")
		require.Equal(t, http.StatusOK, r.StatusCode)
		_, got := send("GET", near.URL+"/accounts/bob", "", r.Header.Get("Token"))
		require.Equal(t, fmt.Sprintf("{\"cents\":%d}\n", 101+i), got)
	}
	for line, want := range map[string]int{
		"GET /accounts/nobody ":    http.StatusNotFound,
		"PUT /accounts/bob {}":     http.StatusConflict,
		"PUT /accounts/x nonsense": http.StatusBadRequest,
		`POST /transfers {"id":"z","from":"alice","to":"bob","cents":1000}`: http.StatusConflict,
		`POST /transfers {"from":"alice","to":"bob","cents":1}`:             http.StatusBadRequest,
	} {
		f := strings.SplitN(line, " ", 3)
		r, text := send(f[0], at.URL+f[1], f[2], "")
		require.Equal(t, want, r.StatusCode, "%s: %s", line, text)
	}
	r, text := send("POST", near.URL+"/transfers", `{"id":"q","from":"alice","to":"bob","cents":1}`, "")
	require.Equal(t, http.StatusServiceUnavailable, r.StatusCode, "a follower names the leader: %s", text)
	require.Contains(t, text, "a leads")
}
