package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/server/resp"
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
	c       *cluster
	avoid   atomic.Int32 // node that nobody asks; -1: none
	lead    atomic.Int32 // node that acknowledged last
	clients []*client
	wait    sync.WaitGroup

	mu    sync.Mutex // guards what follows; a leaf
	last  time.Time  // acknowledgement
	pause time.Duration
	since time.Time     // the fault
	first time.Duration // from then to the first write acknowledged that was begun after it; 0: none yet
	came  chan struct{} // closed at that
}

// client writes one at a time; acked are the numbers of its acknowledged writes.
type client struct {
	load  *load
	name  string
	acked []int
	mu    sync.Mutex // guards conn; a leaf
	conn  *conn
	at    int
	lead  int // where it last looked because others were answered there
}

func newLoad(c *cluster, n int) *load {
	l := &load{c: c}
	l.avoid.Store(-1)
	for i := range n {
		l.clients = append(l.clients, &client{load: l, name: strconv.Itoa(i)})
	}
	return l
}

func (l *load) run(ctx context.Context) {
	for _, c := range l.clients {
		l.wait.Go(func() { c.run(ctx) })
	}
}

func (c *client) run(ctx context.Context) {
	value := strings.Repeat("v", 128)
	defer c.leave()
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		a, err := c.try(command("SET", c.name+"."+strconv.Itoa(n), value))
		if err == nil && strings.HasPrefix(a, "+OK") {
			c.acked = append(c.acked, n)
			c.load.note(began, c.at)
			continue
		}
		if to := int(c.load.lead.Load()); to != c.lead { // somebody has found another one
			c.at, c.lead = to, to
		} else {
			c.at = (c.at + 1) % len(ids)
		}
		c.leave()
		time.Sleep(againWait)
	}
}

func (c *client) try(command string) (string, error) {
	if int(c.load.avoid.Load()) == c.at {
		c.at = (c.at + 1) % len(ids)
		c.leave()
	}
	c.mu.Lock()
	k := c.conn
	c.mu.Unlock()
	if k == nil {
		var err error
		if k, err = dial(c.load.c.resp[c.at]); err != nil {
			return "", err
		}
		c.mu.Lock()
		c.conn = k
		c.mu.Unlock()
	}
	return k.ask(command, 1)
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

// note takes an acknowledgement of a write begun at a time.
func (l *load) note(began time.Time, at int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if int(l.avoid.Load()) != at {
		l.lead.Store(int32(at))
	}
	l.pause, l.last = max(l.pause, now.Sub(l.last)), now
	if l.came != nil && l.first == 0 && began.After(l.since) && int(l.avoid.Load()) != at {
		l.first = now.Sub(l.since)
		close(l.came)
	}
}

// begin starts a measurement: from now on nobody asks node avoid, if it is one.
func (l *load) begin(avoid int) (came <-chan struct{}) {
	l.mu.Lock()
	l.avoid.Store(int32(avoid))
	l.since, l.first, l.came = time.Now(), 0, make(chan struct{})
	l.last, l.pause = l.since, 0
	came = l.came
	l.mu.Unlock()
	if avoid >= 0 {
		for _, c := range l.clients {
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
	for _, c := range l.clients {
		for some := c.acked; len(some) > 0; {
			n := min(len(some), readBatch)
			words := []string{"EXISTS"}
			for _, i := range some[:n] {
				words = append(words, c.name+"."+strconv.Itoa(i))
			}
			a, err := k.ask(command(words...), 1)
			if err != nil {
				return acked, lost, err
			}
			there, err := strconv.Atoi(strings.Trim(a, ":\r\n"))
			if err != nil {
				return acked, lost, errors.New(a)
			}
			acked, lost, some = acked+n, lost+n-there, some[n:]
		}
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
