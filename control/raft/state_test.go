package raft

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/topology"
)

func swapOf(node topology.NodeID, number, version uint64, name, body string) command {
	return command{
		kind: commandSwap, op: operation{node, 1, number},
		document: topology.Document{Name: name, Version: version, Body: []byte(body)},
	}
}

func TestACommandThatArrivesAgainIsAnsweredAlike(t *testing.T) {
	s := newState()
	first := s.apply(swapOf("a", 1, 0, "group", "one"))
	require.Equal(t, result{codeDone, 1}, first)
	lost := s.apply(swapOf("b", 1, 0, "group", "other"))
	require.Equal(t, result{codeConflict, 1}, lost)
	require.Equal(t, result{codeDone, 2}, s.apply(swapOf("b", 2, 1, "group", "two")))
	require.Equal(t, first, s.apply(swapOf("a", 1, 0, "group", "one")))
	require.Equal(t, lost, s.apply(swapOf("b", 1, 0, "group", "other")))
	require.Equal(t, "two", string(s.documents["group"].Body))

	claim := command{kind: commandClaim, op: operation{"a", 1, 2}, id: "n", life: 7}
	require.Equal(t, result{codeDone, 1}, s.apply(claim))
	require.Equal(t, result{codeDone, 1}, s.apply(command{kind: commandRelease, op: operation{"a", 1, 3}, id: "n", number: 1}))
	require.Equal(t, result{codeDone, 1}, s.apply(claim), "a claim that is late claims nothing again")
	require.Empty(t, s.claims)
}

func TestWhatIsTooOldToBeRememberedIsNotApplied(t *testing.T) {
	s := newState()
	for n := range uint64(resultsMax + 5) {
		s.apply(swapOf("a", n+1, n, "group", "x"))
	}
	at := s.documents["group"].Version
	require.Equal(t, result{code: codeForgotten}, s.apply(swapOf("a", 3, at, "group", "late")))
	require.Equal(t, at, s.documents["group"].Version)
	require.Len(t, s.sessions[0].results, resultsMax)

	for i := range sessionsMax + 3 {
		s.apply(command{kind: commandClaim, op: operation{"b", uint64(i), 1}, id: "n"})
	}
	require.Len(t, s.sessions, sessionsMax)
}

func TestANameIsGivenToOneHolder(t *testing.T) {
	s := newState()
	n := uint64(0)
	claim := func(node topology.NodeID, session, life uint64) result {
		n++
		return s.apply(command{kind: commandClaim, op: operation{node, session, n}, id: "x", life: life})
	}
	require.Equal(t, result{codeDone, 1}, claim("a", 1, 7))
	require.Equal(t, result{codeHeld, 1}, claim("b", 1, 8), "another node")
	require.Equal(t, result{codeHeld, 1}, claim("a", 2, 9), "another directory")
	require.Equal(t, result{codeDone, 2}, claim("a", 2, 7), "the next process of the directory")
	n++
	s.apply(command{kind: commandRelease, op: operation{"a", 1, n}, id: "x", number: 1})
	require.Equal(t, uint64(2), s.claims["x"].number, "who has lost it releases nothing")
}

func TestTheStateHasLimits(t *testing.T) {
	s := newState()
	n := uint64(0)
	swap := func(name string, version uint64, bytes int) code {
		n++
		return s.apply(command{kind: commandSwap, op: operation{"a", n, n}, document: topology.Document{Name: name, Version: version, Body: make([]byte, bytes)}}).code
	}
	for i := range StateBytesMax / BodyBytesMax {
		want := codeDone
		if i == StateBytesMax/BodyBytesMax-1 {
			want = codeFull // their names count too
		}
		require.Equal(t, want, swap(fmt.Sprint("large", i), 0, BodyBytesMax))
	}
	require.Equal(t, codeDone, swap("large0", 1, 0), "there is room again")
	for i := len(s.documents); i < NamesMax; i++ {
		require.Equal(t, codeDone, swap(fmt.Sprint("d", i), 0, 1))
	}
	require.Equal(t, codeFull, swap("one-more", 0, 1))
	for i := range ClaimsMax {
		n++
		require.Equal(t, codeDone, s.apply(command{kind: commandClaim, op: operation{"a", n, n}, id: topology.NodeID(fmt.Sprint("n", i))}).code)
	}
	n++
	require.Equal(t, codeFull, s.apply(command{kind: commandClaim, op: operation{"a", n, n}, id: "one-more"}).code)
	b := s.encode()
	require.LessOrEqual(t, len(b), snapshotBytesMax)
}

// Any sequence of commands gives the same state at two voters, one of which has
// restored a snapshot on the way, and versions grow by one.
func TestVotersAgreeAndASnapshotIsTheState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two := newState(), newState()
		for range rapid.IntRange(1, 200).Draw(t, "commands") {
			k := command{op: operation{
				rapid.SampledFrom(voters(3)).Draw(t, "node"), rapid.Uint64Range(1, 2).Draw(t, "session"), rapid.Uint64Range(1, 90).Draw(t, "number"),
			}}
			switch k.kind = commandKind(rapid.IntRange(1, 3).Draw(t, "kind")); k.kind {
			case commandSwap:
				name := rapid.SampledFrom([]string{"group", "tables"}).Draw(t, "name")
				k.document = topology.Document{Name: name, Version: one.documents[name].Version - min(one.documents[name].Version, rapid.Uint64Range(0, 1).Draw(t, "behind")), Body: []byte("x")}
			case commandClaim:
				k.id, k.life = "n", rapid.Uint64Range(1, 2).Draw(t, "life")
			case commandRelease:
				k.id, k.number = "n", rapid.Uint64Range(0, 5).Draw(t, "held")
			}
			k, err := decodeCommand(encodeCommand(k))
			if err != nil {
				t.Fatal(err)
			}
			was := one.documents[k.document.Name].Version
			r := one.apply(k)
			once := [2]uint64{one.documents[k.document.Name].Version, one.number}
			// One that was overtaken by as many as are remembered is forgotten at once.
			if again := one.apply(k); r != again && again.code != codeForgotten {
				t.Fatalf("%+v, then %+v", r, again)
			}
			if twice := [2]uint64{one.documents[k.document.Name].Version, one.number}; once != twice {
				t.Fatalf("it took place twice: %v, then %v", once, twice)
			}
			if now := one.documents[k.document.Name].Version; now != was && (now != was+1 || r.code != codeDone) {
				t.Fatalf("version %d after %d: %+v", now, was, r)
			}
			two.apply(k)
			two.apply(k)
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				if two, err = decodeState(two.encode()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(one.encode(), two.encode()) {
			t.Fatal("two voters differ")
		}
	})
}
