package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/internal/sim/history"
	source "github.com/triad-kv/triad/internal/sim/load"
)

const (
	askWait   = 2 * time.Second
	againWait = 2 * time.Millisecond // after a refusal
	readBatch = 500                  // keys looked for in one go
)

// conn is a connection of a Redis client.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, askWait)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// ask sends commands already encoded and returns the first n answers' bytes.
func (c *conn) ask(commands string, n int) (string, error) {
	if err := c.SetDeadline(time.Now().Add(askWait)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(commands)); err != nil {
		return "", err
	}
	var out []byte
	for range n {
		var err error
		if out, err = resp.AppendAnswer(out, c.in, 1<<20); err != nil {
			return "", err
		}
	}
	return string(out), nil
}

// load is clients that write one key after the other, each of its own.
type load struct {
	c      *cluster
	runner source.Runner
	began  time.Time    // the history's times count from here
	avoid  atomic.Int32 // node that nobody asks; -1: none
	lead   atomic.Int32 // node that acknowledged last
	wait   sync.WaitGroup

	mu      sync.Mutex // guards what follows; a leaf
	clients []*client
	last    time.Duration // acknowledgement
	pause   time.Duration
	since   time.Duration // the fault
	first   time.Duration // from then to the first write acknowledged that was begun after it; 0: none yet
	came    chan struct{} // closed at that
}

// client is one connection, to one node at a time.
type client struct {
	load *load
	mu   sync.Mutex // guards conn; a leaf
	conn *conn
	at   int
	lead int // where it last looked because others were answered there
}

func newLoad(c *cluster, n int) *load {
	l := &load{c: c, began: time.Now()}
	l.avoid.Store(-1)
	l.runner = source.Runner{
		Options: source.Options{Mix: source.Mix{Once: 1}}, Sessions: n, Timeout: askWait, Retreat: againWait,
		Recorder: history.NewRecorder(l.now), Dial: l.dial, Told: l.note,
	}
	return l
}

func (l *load) now() time.Duration { return time.Since(l.began) }

func (l *load) run(ctx context.Context) {
	l.wait.Go(func() {
		l.runner.Run(ctx)
		for _, c := range l.clients {
			c.leave()
		}
	})
}

func (l *load) dial(uint64) source.Client {
	c := &client{load: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = append(l.clients, c)
	return c
}

// padding makes values as long as those that are usual.
var padding = strings.Repeat("v", 128)

// Do writes once, at the node where a write was acknowledged last, or the next one.
func (c *client) Do(_ context.Context, op history.Op) history.Op {
	if to := int(c.load.lead.Load()); to != c.lead { // somebody has found another one
		c.move(to)
		c.lead = to
	}
	if int(c.load.avoid.Load()) == c.at {
		c.move((c.at + 1) % len(ids))
	}
	op.Node = ids[c.at]
	k, err := c.reach()
	if err != nil {
		op.Outcome, op.Error = history.NotApplied, err.Error()
		c.move((c.at + 1) % len(ids))
		return op
	}
	a, err := k.ask(command("SET", op.Key, op.Value+padding), 1)
	switch {
	case err != nil:
		op.Outcome, op.Error = history.Unknown, err.Error()
	case strings.HasPrefix(a, "+OK"):
		op.Outcome = history.Applied
		return op
	case strings.HasPrefix(a, "-UNKNOWN"):
		op.Outcome, op.Error = history.Unknown, a
	default:
		op.Outcome, op.Error = history.NotApplied, a
	}
	c.move((c.at + 1) % len(ids))
	return op
}

func (c *client) move(to int) {
	c.leave()
	c.at = to
}

// reach returns the connection to the node at which the client is.
func (c *client) reach() (*conn, error) {
	c.mu.Lock()
	k := c.conn
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	k, err := dial(c.load.c.resp[c.at])
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = k
	return k, nil
}

// leave ends the connection, and with it a wait for an answer.
func (c *client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// note is told of every answer.
func (l *load) note(op history.Op) {
	if op.Outcome != history.Applied {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := int32(slices.Index(ids, op.Node))
	if l.avoid.Load() != at {
		l.lead.Store(at)
	}
	l.pause, l.last = max(l.pause, op.Return-l.last), op.Return
	if l.came != nil && l.first == 0 && op.Invoke > l.since && l.avoid.Load() != at {
		l.first = op.Return - l.since
		close(l.came)
	}
}

// begin starts a measurement: from now on nobody asks node avoid, if it is one.
func (l *load) begin(avoid int) (came <-chan struct{}) {
	l.mu.Lock()
	l.avoid.Store(int32(avoid))
	l.since, l.first, l.came = l.now(), 0, make(chan struct{})
	l.last, l.pause = l.since, 0
	came = l.came
	clients := slices.Clone(l.clients)
	l.mu.Unlock()
	if avoid >= 0 {
		for _, c := range clients {
			c.leave()
		}
	}
	return came
}

// lost looks for every acknowledged write at a node and counts those not there.
func (l *load) lost(addr string) (acked, lost int, err error) {
	k, err := dial(addr)
	if err != nil {
		return 0, 0, err
	}
	defer k.Close()
	var keys []string
	for _, op := range l.runner.Recorder.Ops() {
		if op.Outcome == history.Applied {
			keys = append(keys, op.Key)
		}
	}
	for some := range slices.Chunk(keys, readBatch) {
		a, err := k.ask(command(append([]string{"EXISTS"}, some...)...), 1)
		if err != nil {
			return acked, lost, err
		}
		there, err := strconv.Atoi(strings.Trim(a, ":\r\n"))
		if err != nil {
			return acked, lost, errors.New(a)
		}
		acked, lost = acked+len(some), lost+len(some)-there
	}
	return acked, lost, nil
}

// leader asks all nodes who leads, and in which term; -1 if none says so. Of two,
// the one of the higher term does.
func (c *cluster) leader() (lead int, term uint64) {
	lead = -1
	for i, addr := range c.resp {
		k, err := dial(addr)
		if err != nil {
			continue
		}
		a, err := k.ask(command("INFO", "replication"), 1)
		_ = k.Close()
		if err != nil || !strings.Contains(a, "role:master") {
			continue
		}
		_, rest, _ := strings.Cut(a, "triad_term:")
		word, _, _ := strings.Cut(rest, "\r\n")
		if t, err := strconv.ParseUint(word, 10, 64); err == nil && t > term {
			lead, term = i, t
		}
	}
	return lead, term
}
