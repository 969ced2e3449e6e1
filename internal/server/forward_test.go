package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// pair is a server that leads and one that forwards to it.
func pair(t *testing.T, o Options) (leader, follower started, at *fakeNode) {
	at = newFake()
	behind := newFake()
	behind.leader = "b"
	leader = start(t, at, Options{Password: o.Password})
	o.Routing = RoutingForward
	if o.Forward == nil {
		o.Forward = func(ctx context.Context, _ topology.NodeID, msg []byte) ([]byte, error) {
			return leader.Forwarded(ctx, append([]byte(nil), msg...))
		}
	}
	return leader, start(t, behind, o), at
}

func TestWritesAreForwardedToTheLeader(t *testing.T) {
	_, follower, at := pair(t, Options{Password: "secret"})
	cl := follower.dial(t)
	require.Equal(t, "OK", cl.do("AUTH", "secret"))
	require.Equal(t, "OK", cl.do("SET", "k", "1"))
	require.Equal(t, "(integer) 2", cl.do("INCR", "k"))
	require.Equal(t, "(error) "+string(errWrongType), cl.do("SADD", "k", "x"))
	cl.send(array("SET", "a", "1") + array("GET", "a") + array("INCR", "a") + array("INCR", "a") + array("PING"))
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, "(nil)", cl.answer(), "the follower in memory knows nothing of it")
	require.Equal(t, "(integer) 2", cl.answer())
	require.Equal(t, "(integer) 3", cl.answer())
	require.Equal(t, "PONG", cl.answer())
	require.Equal(t, "OK", cl.do("SET", "e", ""))
	require.Equal(t, `""`, cl.do("GETSET", "e", "x"))
	require.NotEmpty(t, at.cells)
	require.Equal(t, "OK", cl.do("FLUSHALL"), "by the leader, which finds the keys")
	require.Empty(t, at.cells)
}

func TestATransactionIsForwardedWhole(t *testing.T) {
	_, follower, at := pair(t, Options{})
	cl := follower.dial(t)
	cl.send(array("MULTI") + array("SET", "x", "1") + array("CLIENT", "GETNAME") + array("INCR", "x") + array("PING", "here") + array("EXEC"))
	for range 5 {
		cl.answer()
	}
	require.Equal(t, `[OK, (nil), (integer) 2, "here"]`, cl.answer(), "what is the connection's is answered where that is")
	require.Len(t, at.records[len(at.records)-1], 2, "one record")
	// The follower has seen nothing at x, the leader has something.
	cl.do("WATCH", "x")
	cl.send(array("MULTI") + array("SET", "x", "7") + array("EXEC"))
	cl.answer()
	cl.answer()
	require.Equal(t, "(nil array)", cl.answer(), "the leader compares what was watched here")
	cl.do("WATCH", "y")
	cl.send(array("MULTI") + array("SET", "y", "7") + array("INCRBY", "y", "z") + array("EXEC"))
	for range 3 {
		cl.answer()
	}
	require.Equal(t, "[OK, (error) "+string(errNotInteger)+"]", cl.answer())
}

func TestASessionGoesAlongAndLearns(t *testing.T) {
	_, follower, at := pair(t, Options{})
	cl := follower.dial(t)
	require.Equal(t, "(nil)", cl.do("GETSET", "k", "1"))
	require.Equal(t, "OK", cl.do("TRIAD", "DURABILITY", "applied"))
	require.Equal(t, "OK", cl.do("SET", "k", "2"))
	require.Equal(t, topology.Applied, at.wrote[len(at.wrote)-1])
	require.Equal(t, "OK", cl.do("TRIAD", "DURABILITY", "received"))
	require.Equal(t, "OK", cl.do("SET", "k", "3"))
	require.Equal(t, topology.Received, at.wrote[len(at.wrote)-1])
	token := topology.Token{Origin: fakeOrigin, Term: 1, LSN: 3}
	require.Equal(t, fmt.Sprintf("%q", token.String()), cl.do("TRIAD", "TOKEN"), "a session read sees what was forwarded")
	require.Equal(t, "(integer) 1", cl.do("WAIT", "1", "0"), "the receipt names who has it")
	require.Contains(t, cl.do("WAIT", "2", "0"), "(error) ERR WAIT is for the leader")
	cl.do("HELLO", "3")
	require.Equal(t, "(null)", cl.do("GETSET", "k2", "1"), "in the client's protocol")
}

// Bad input 88: two nodes that each take the other for the leader do not send a
// command round and round.
func TestForwardingGoesOneNodeFar(t *testing.T) {
	var passed atomic.Int32
	servers := [2]started{}
	for i := range servers {
		node := newFake()
		node.leader = "b"
		servers[i] = start(t, node, Options{
			Routing: RoutingForward, Addr: func(topology.NodeID) string { return "h:1" },
			Forward: func(ctx context.Context, _ topology.NodeID, msg []byte) ([]byte, error) {
				passed.Add(1)
				return servers[1-i].Forwarded(ctx, msg)
			},
		})
	}
	cl := servers[0].dial(t)
	require.Contains(t, cl.do("SET", "k", "v"), "(error) READONLY")
	require.EqualValues(t, 1, passed.Load())
	cl.send(array("MULTI") + array("SET", "k", "v") + array("EXEC"))
	cl.answer()
	cl.answer()
	require.Contains(t, cl.answer(), "(error) READONLY")
	require.EqualValues(t, 2, passed.Load())
}

// C9: what was not sent did not happen, what was sent and not answered may have.
func TestAForwardThatIsLostSaysWhatBecameOfEachCommand(t *testing.T) {
	for outcome, answer := range map[topology.Outcome]string{
		topology.NotApplied: "(error) TRYAGAIN not applied: the leader b was not reached: at a: no way (not applied)",
		topology.Unknown:    "(error) UNKNOWN the outcome is not known, it may have happened or may yet: it was forwarded to the leader b: at a: no way (outcome unknown)",
	} {
		_, follower, _ := pair(t, Options{Forward: func(context.Context, topology.NodeID, []byte) ([]byte, error) {
			return nil, &topology.Error{Node: "a", Outcome: outcome, Err: errors.New("no way")}
		}})
		cl := follower.dial(t)
		cl.send(array("SET", "k", "v") + array("SET", "l", "v"))
		require.Equal(t, answer, cl.answer())
		require.Equal(t, answer, cl.answer())
	}
}

// What is long goes in messages of its own, and what stands behind a lost one is
// not sent: a pipeline has no holes.
func TestMessagesAreBoundedAndNothingIsSentBehindALostOne(t *testing.T) {
	sizes := []int{}
	s, err := New(newFake(), Options{Routing: RoutingForward, Forward: func(_ context.Context, _ topology.NodeID, msg []byte) ([]byte, error) {
		m, err := call.DecodeForward(msg)
		require.NoError(t, err)
		if sizes = append(sizes, len(m.Commands)); len(sizes) == 3 {
			return nil, errors.New("lost")
		}
		f := call.Forwarded{}
		for range m.Commands {
			f.Answers = append(f.Answers, []byte("+OK\r\n"))
		}
		return f.Encode(), nil
	}})
	require.NoError(t, err)
	var rs []*request
	for _, size := range []int{1, forwardBytesMax / 2, forwardBytesMax * 3, 1, 1, forwardBytesMax, 1} {
		r := newRequest(s)
		r.cmd, r.args = s.commands["set"], [][]byte{[]byte("SET"), []byte("k"), make([]byte, size)}
		rs = append(rs, r)
	}
	forwarder{&conn{wire: wire{server: s}}}.forward(t.Context(), "b", rs)
	require.Equal(t, []int{2, 1, 2}, sizes)
	for i, code := range []string{"+OK", "+OK", "+OK", "-UNKNOWN", "-UNKNOWN", "-TRYAGAIN", "-TRYAGAIN"} {
		require.True(t, strings.HasPrefix(string(rs[i].out.Bytes()), code), "%d: %s", i, rs[i].out.Bytes())
	}
}

// What is no answer is no answer: whether it happened is not known.
func TestAnAnswerThatCanNotBeReadLeavesTheOutcomeUnknown(t *testing.T) {
	short := call.Forwarded{}
	for name, b := range map[string][]byte{"nothing": nil, "too few": short.Encode()} {
		_, follower, _ := pair(t, Options{Forward: func(context.Context, topology.NodeID, []byte) ([]byte, error) { return b, nil }})
		require.Contains(t, follower.dial(t).do("SET", "k", "v"), "(error) UNKNOWN", name)
	}
}

func TestManyForwardedWritesAreAnsweredInOrder(t *testing.T) {
	_, follower, _ := pair(t, Options{})
	cl := follower.dial(t)
	const n = 2000
	go func() {
		for range n {
			_, _ = cl.sock.Write([]byte(array("INCR", "k")))
		}
	}()
	for i := range n {
		require.Equal(t, fmt.Sprintf("(integer) %d", i+1), cl.answer())
	}
}

// What another node may ask for is bounded, and is none of a connection's.
func TestWhatIsAConnectionsIsNotDoneForAnotherNode(t *testing.T) {
	s := start(t, newFake(), Options{})
	ask := func(c ...call.Command) ([]string, error) {
		m := call.Forward{Proto: 2, Commands: c}
		b, err := s.Forwarded(t.Context(), m.Encode())
		if err != nil {
			return nil, err
		}
		f, err := call.DecodeForwarded(b)
		require.NoError(t, err)
		var texts []string
		for _, a := range f.Answers {
			text, _ := shown(a)
			texts = append(texts, text)
		}
		return texts, nil
	}
	words := func(ws ...string) [][]byte {
		var args [][]byte
		for _, w := range ws {
			args = append(args, []byte(w))
		}
		return args
	}
	bound := " is bound to the connection of its client, and is not forwarded to the leader"
	got, err := ask(call.Command{Queue: [][][]byte{words("CLIENT", "LIST")}}, call.Command{Queue: [][][]byte{words("WAIT", "1", "0")}},
		call.Command{Queue: [][][]byte{words("SET", "k", "v")}}, call.Command{Atomic: true, Queue: [][][]byte{words("GET", "k"), words("CLIENT", "ID")}},
		call.Command{Queue: [][][]byte{words("NOSUCH")}})
	require.NoError(t, err)
	require.Equal(t, "(error) ERR client|list"+bound, got[0])
	require.Equal(t, "(error) ERR wait"+bound, got[1])
	require.Equal(t, "OK", got[2])
	require.Equal(t, "(error) ERR client|id"+bound, got[3])
	require.Contains(t, got[4], "unknown command")
	_, err = s.Forwarded(t.Context(), []byte("x"))
	require.Error(t, err)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	// Answers that no message holds are refused before anything is changed.
	got, err = ask(call.Command{Queue: [][][]byte{words("SET", "big", strings.Repeat("v", 10<<20))}})
	require.NoError(t, err)
	require.Equal(t, []string{"OK"}, got)
	got, err = ask(call.Command{Queue: [][][]byte{words("GETSET", "big", "1")}}, call.Command{Queue: [][][]byte{words("SET", "big2", strings.Repeat("v", 6<<20))}})
	require.NoError(t, err)
	require.Equal(t, "OK", got[1])
	_, err = ask(call.Command{Queue: [][][]byte{words("SET", "big", strings.Repeat("v", 12<<20))}})
	require.NoError(t, err)
	got, err = ask(call.Command{Queue: [][][]byte{words("GETSET", "big2", "1")}}, call.Command{Queue: [][][]byte{words("GETSET", "big", "1")}})
	require.NoError(t, err)
	require.Contains(t, got[1], "(error) ERR the answer is longer than")
}

// A read that comes upon a key which should have gone by now is the leader's.
func TestAReadOfWhatIsDueIsForwarded(t *testing.T) {
	_, follower, at := pair(t, Options{})
	at.cells, at.values = nil, nil
	cl := follower.dial(t)
	behind := follower.node.(*fakeNode)
	now := time.Now()
	behind.now = func() time.Time { return now.Add(-time.Hour) } // it shows what is due
	behind.leader = "a"
	require.Equal(t, "OK", cl.do("SET", "k", "v", "PX", "1"))
	behind.leader = "b"
	eventually(t, func() bool { return cl.do("GET", "k") == "(nil)" }, "the leader has no such key")
}
