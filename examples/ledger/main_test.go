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
	require.Eventually(t, func() bool { // the leader defines its tables
		all, err := follower.Tables(t.Context(), triad.Any())
		return err == nil && len(all) == len(tables)+1
	}, 30*time.Second, time.Millisecond)
	return leader, follower
}

// fund opens accounts 0, 1, … with 100 cents each.
func fund(t *testing.T, l ledger, accounts int) (last topology.Token) {
	t.Helper()
	for i := range accounts {
		var err error
		last, err = l.transfer(t.Context(), Transfer{ID: fmt.Sprint("fund ", i), From: mint, To: fmt.Sprint(i), Cents: 100})
		require.NoError(t, err)
	}
	return last
}

// total adds up all accounts, of which the mint's alone may be below zero.
func total(t *testing.T, l ledger, opts ...triad.Option) (sum int64) {
	t.Helper()
	for row, err := range l.accounts.Scan(t.Context(), "", "", opts...) {
		require.NoError(t, err)
		require.True(t, row.Key == mint || row.Value.Cents >= 0, "%s: %d", row.Key, row.Value.Cents)
		sum += row.Value.Cents
	}
	return sum
}

func TestTransfersAtOnceNeitherMakeNorLoseMoney(t *testing.T) {
	leader, follower := pair(t)
	const accounts, writers, each = 4, 6, 10
	require.NoError(t, follower.Wait(t.Context(), fund(t, leader, accounts)))
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
		require.Zero(t, total(t, follower, triad.Any()), "a scan is of one moment")
		select {
		case <-watched:
			running = false
		default:
		}
	}
	require.Zero(t, total(t, leader))
	require.Zero(t, total(t, follower))
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
	fund(t, leader, 2)
	for i := range 10 {
		token, err := leader.transfer(t.Context(), Transfer{ID: fmt.Sprint(i), From: "0", To: "1", Cents: 1})
		require.NoError(t, err)
		a, err := follower.accounts.Get(t.Context(), "1", triad.After(token))
		require.NoError(t, err)
		require.EqualValues(t, 101+i, a.Cents)
	}
	_, err := follower.transfer(t.Context(), Transfer{ID: "q", From: "0", To: "1", Cents: 1})
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.ErrorContains(t, err, "a leads")
}

func TestTransfersOverHTTP(t *testing.T) {
	leader, _ := pair(t)
	s := httptest.NewServer(leader)
	t.Cleanup(s.Close)
	for _, c := range []struct {
		body, answer string
		status       int
	}{
		{`{"ID":"1","From":"mint","To":"alice","Cents":100}`, "-100\n", http.StatusOK},
		{`{"ID":"2","From":"alice","To":"bob","Cents":30}`, "70\n", http.StatusOK},
		{`{"ID":"2","From":"alice","To":"bob","Cents":30}`, "70\n", http.StatusOK},
		{`{"ID":"3","From":"alice","To":"bob","Cents":71}`, "conflict", http.StatusConflict},
		{`{"From":"alice","To":"bob","Cents":1}`, "key", http.StatusConflict},
		{`nonsense`, "invalid character", http.StatusBadRequest},
	} {
		r, err := http.Post(s.URL, "application/json", strings.NewReader(c.body))
		require.NoError(t, err)
		text, err := io.ReadAll(r.Body)
		require.NoError(t, errors.Join(err, r.Body.Close()))
		require.Equal(t, c.status, r.StatusCode, "%s: %s", c.body, text)
		require.Contains(t, string(text), c.answer)
	}
}
