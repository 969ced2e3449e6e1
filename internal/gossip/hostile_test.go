package gossip

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/serf/serf"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// packet sends one datagram to a node's gossip port.
func packet(t *testing.T, to string, b []byte) {
	t.Helper()
	c, err := net.Dial("udp", to)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Write(b)
	require.NoError(t, err)
}

// labelled puts memberlist's label before a message.
func labelled(label string, msg []byte) []byte {
	return append(append([]byte{244, byte(len(label))}, label...), msg...)
}

// dead is memberlist's message that a node is dead, in msgpack.
func dead(node, from string, incarnation byte) []byte {
	var b bytes.Buffer
	text := func(s string) { b.WriteByte(0xa0 | byte(len(s))); b.WriteString(s) }
	b.WriteByte(5)
	b.WriteByte(0x83)
	text("Incarnation")
	b.WriteByte(incarnation)
	text("Node")
	text(node)
	text("From")
	text(from)
	return b.Bytes()
}

func TestALiveNodeIsNotDeadBecauseSomebodySaysSo(t *testing.T) {
	for name, keys := range map[string][]Key{"without a key it objects": nil, "with a key nobody listens": {key(1)}} {
		t.Run(name, func(t *testing.T) {
			a, b, c := trio(t, Options{Keys: keys})
			heard := func(n *node, line string) { // said again, as a busy second writes no more lines
				t.Helper()
				incarnation := byte(10)
				require.Eventually(t, func() bool {
					incarnation = min(incarnation+1, 127)
					m := labelled("triad/shop", dead("b", "forger", incarnation))
					packet(t, a.Addr(), m)
					packet(t, c.Addr(), m)
					return strings.Contains(n.log.String(), line)
				}, patience, 10*every)
			}
			if keys == nil {
				heard(b, "Refuting a dead message (from: forger)")
			} else {
				heard(a, "Decrypt packet failed")
				require.NotContains(t, a.log.String()+b.log.String(), "forger")
			}
			a.sees("b", topology.LivenessAlive)
			c.sees("b", topology.LivenessAlive)
		})
	}
}

func TestPacketsOfAnotherLabelAndNoiseAreDropped(t *testing.T) {
	a, b, _ := trio(t, Options{})
	noise := make([]byte, 1200)
	_, _ = rand.Read(noise)
	forged := dead("b", "forger", 100)
	require.Eventually(t, func() bool {
		for range 20 {
			packet(t, a.Addr(), labelled("triad/bank", forged))
			packet(t, a.Addr(), forged)
			packet(t, a.Addr(), noise)
			packet(t, a.Addr(), labelled("triad/shop", noise[:100]))
		}
		return strings.Contains(a.log.String(), "unacceptable label")
	}, patience, 10*every)
	require.NotContains(t, b.log.String(), "forger")
	a.sees("b", topology.LivenessAlive)
}

func TestReplayedPacketsChangeNothing(t *testing.T) {
	a := open(t, setup{id: "a", options: Options{Keys: []Key{key(1)}}})
	r := record(t)
	b := open(t, setup{id: "b", options: Options{Keys: []Key{key(1)}, Advertise: r.addr}, seeds: []string{a.Addr()}})
	r.to(b.sockets.tcp.Addr().String())
	c := open(t, setup{id: "c", options: Options{Keys: []Key{key(1)}}, seeds: []string{a.Addr()}})
	b.sees("a", topology.LivenessAlive)
	b.sees("c", topology.LivenessAlive)
	c.kill()
	b.sees("c", topology.LivenessFailed)
	c = open(t, setup{id: "c", options: Options{Keys: []Key{key(1)}}, seeds: []string{a.Addr()}})
	for _, n := range []*node{a, b, c} {
		n.sees("c", topology.LivenessAlive)
	}
	said := r.packets() // among them that c is dead
	require.NotEmpty(t, said)
	for range 3 {
		for _, p := range said {
			for _, n := range []*node{a, c} {
				packet(t, n.Addr(), p)
			}
			packet(t, b.sockets.tcp.Addr().String(), p)
		}
	}
	for _, n := range []*node{a, b, c} {
		for _, id := range []topology.NodeID{"a", "b", "c"} {
			n.sees(id, topology.LivenessAlive)
		}
	}
}

// recorder stands before a gossip port and keeps what comes by UDP.
type recorder struct {
	addr  string
	ready chan struct{}
	at    string

	mu   sync.Mutex
	kept [][]byte
}

func record(t *testing.T) *recorder {
	s, err := bind(system{}, "127.0.0.1:0", "")
	require.NoError(t, err)
	r := &recorder{addr: s.told.String(), ready: make(chan struct{})}
	s.serve()
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { r.forward(s, stop, &wait) })
	t.Cleanup(func() {
		close(stop)
		require.NoError(t, s.Shutdown())
		wait.Wait()
	})
	return r
}

func (r *recorder) to(addr string) { r.at = addr; close(r.ready) }

func (r *recorder) packets() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.kept...)
}

func (r *recorder) forward(s *sockets, stop chan struct{}, wait *sync.WaitGroup) {
	select {
	case <-r.ready:
	case <-stop:
		return
	}
	for {
		select {
		case p := <-s.PacketCh():
			r.mu.Lock()
			r.kept = append(r.kept, p.Buf)
			r.mu.Unlock()
			_, _ = s.WriteTo(p.Buf, r.at)
		case c := <-s.StreamCh():
			d, err := s.DialTimeout(r.at, time.Second)
			if err != nil {
				_ = c.Close()
				continue
			}
			wait.Go(func() { _, _ = io.Copy(d, c); _ = d.Close() })
			wait.Go(func() { _, _ = io.Copy(c, d); _ = c.Close() })
		case <-stop:
			return
		}
	}
}

func TestMoreConnectionsThanTheLimitAreClosed(t *testing.T) {
	a := open(t, setup{id: "a"})
	const more = 20
	for range streamsMax + more {
		c, err := net.Dial("tcp", a.Addr())
		require.NoError(t, err)
		defer func() { _ = c.Close() }()
	}
	require.Eventually(t, func() bool { return a.sockets.refused.Load() >= more }, patience, every)
	require.LessOrEqual(t, a.sockets.accepted.Load(), int64(streamsMax)+1)
	require.Contains(t, strings.Join(a.Warnings(), "\n"), fmt.Sprintf("one more than %d at once", streamsMax))
}

func TestAConnectionYieldsNoMoreThanTheLimit(t *testing.T) {
	s, err := bind(system{}, "127.0.0.1:0", "")
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Shutdown()) }()
	s.serve()
	c, err := net.Dial("tcp", s.told.String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.CopyN(c, rand.Reader, streamBytesMax+1) })
	h := <-s.StreamCh()
	n, err := io.Copy(io.Discard, h)
	require.ErrorContains(t, err, "over one connection")
	require.EqualValues(t, streamBytesMax, n)
	require.NoError(t, h.Close())
	wait.Wait()
}

func TestAFloodOfEventsStopsNobody(t *testing.T) {
	a, b, _ := trio(t, Options{})
	b.mu.Lock()
	s := b.serf
	b.mu.Unlock()
	require.Error(t, s.UserEvent("e", make([]byte, eventBytesMax+1), false))
	for i := range 5 * queueMax {
		require.NoError(t, s.UserEvent(fmt.Sprint("e", i), make([]byte, 100), false))
	}
	require.Eventually(t, func() bool { return s.Stats()["event_queue"] != "" && atMost(s, "event_queue", queueMax) }, patience, every)
	b.kill()
	a.sees("b", topology.LivenessFailed)
}

func atMost(s *serf.Serf, name string, most int) bool {
	var n int
	_, err := fmt.Sscan(s.Stats()[name], &n)
	return err == nil && n <= most
}

func TestAFloodOfStrangersIsTurnedAway(t *testing.T) {
	j := newJudge(&Env{Self: "a", Members: three, Logger: discard()}, time.Second)
	let := 0
	for i := range 10 * StrangersMax {
		if j.NotifyMerge([]*serf.Member{heard(fmt.Sprintf("x%d", i), tags{peers: "h:1"}, serf.StatusAlive)}) == nil {
			let++
		}
	}
	require.Equal(t, StrangersMax, let)
	require.ErrorIs(t, j.NotifyMerge([]*serf.Member{heard("y", tags{peers: "h:1"}, serf.StatusAlive)}), errStrangers)
	require.NoError(t, j.NotifyMerge([]*serf.Member{heard("c", tags{peers: "h:1"}, serf.StatusAlive)}), "a member is always let in")
	j.learn(nil)
	require.NoError(t, j.NotifyMerge([]*serf.Member{heard("y", tags{peers: "h:1"}, serf.StatusAlive)}), "those that are gone make room")
}

func TestTheStandardLoggerIsNotWrittenTo(t *testing.T) {
	var out lines
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	a, b, c := trio(t, Options{})
	for _, n := range []*node{c, b, a} {
		n.kill()
	}
	require.Empty(t, out.String())
}
