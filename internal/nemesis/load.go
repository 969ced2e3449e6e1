//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
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
	rateDefault  = 150 // operations a second
	clientsMax   = 64  // that have asked and were not answered
	accounts     = 4
	accountFunds = 1_000_000 // of each account in the beginning; no run can spend it
	everyNode    = 5         // how many reads there are to one that goes to a node that need not lead
)

// drawn is what the clients ask for, of keys of one era.
var drawn = source.Options{
	Mix:       source.Mix{Put: 20, Get: 25, Delete: 2, CompareAndSet: 8, Increment: 10, Count: 5, Transfer: 14, Scan: 6, Once: 23},
	Registers: 6, Counters: 3, Accounts: accounts, AmountMax: 20,
}

// load is what clients do meanwhile: open loop, so that a cluster that stalls
// finds more and more of them waiting; each has one connection and one operation
// at a time, never tries anything again, and is not heard of again once an
// operation of its ended unknown.
type load struct {
	nodes  []*node
	record *history.Recorder
	rate   int
	seed   uint64

	era     atomic.Uint64 // registers and counters of an era are left alone in the next: it bounds what a checker has to search
	clients atomic.Uint64 // numbers given out
	session atomic.Uint64 // numbers given out
	lead    atomic.Int32  // place of who is believed to lead
	acked   atomic.Int64  // when the last write was acknowledged, in ns since 1970
	shed    atomic.Int64  // operations whose time came while clientsMax were waiting
	all     []*client     // that were made, by the loop

	mu      sync.Mutex // guards what follows; a leaf
	strange map[string]int
	answers map[string]int // by the first word
}

func newLoad(nodes []*node, rate int, seed uint64) *load {
	return &load{
		nodes: nodes, record: history.NewRecorder(nil), rate: rate, seed: seed,
		strange: map[string]int{}, answers: map[string]int{},
	}
}

// fund gives the accounts what they begin with, before the history begins.
func (l *load) fund(ctx context.Context) error {
	return until(ctx, startWait, "the first write is answered", func(context.Context) (bool, error) {
		c, err := dial(at(l.nodes[0].net.addr(ids[0]), portRESP))
		if err != nil {
			return false, err
		}
		defer c.close()
		words := []string{"MSET"}
		for i := range accounts {
			words = append(words, source.Account(i), strconv.Itoa(accountFunds))
		}
		_, err = c.one(answerWait, words...)
		return err == nil, err
	})
}

// run asks until ctx ends, and waits for the answers that are due.
func (l *load) run(ctx context.Context) {
	loop := source.Loop{Workers: clientsMax, Rate: float64(l.rate), Shed: func() { l.shed.Add(1) }}
	loop.Run(ctx, func(i int) source.Step {
		c := &client{load: l, id: l.clients.Add(1), draw: rand.New(rand.NewPCG(l.seed, uint64(i+1)))}
		l.all = append(l.all, c)
		return func(due time.Time) (time.Duration, bool) {
			c.next(time.Since(due))
			return 0, true
		}
	})
}

// close ends the clients' connections. run must have returned.
func (l *load) close() {
	for _, c := range l.all {
		c.leave()
	}
}

// heard counts answers by their first word, to show what the faults were good for.
func (l *load) heard(op history.Op, err error) {
	word := string(op.Outcome)
	if err != nil {
		word = "connection"
		if a := (resp.Answer{Fault: err.Error()}); a.Code() == strings.ToUpper(a.Code()) {
			word = a.Code()
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			word = "silence"
		}
	}
	l.mu.Lock()
	l.answers[word]++
	l.mu.Unlock()
}

// odd notes an answer that no fault excuses.
func (l *load) odd(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.strange) < 20 {
		l.strange[text]++
	}
}

// ackedSince reports whether a write was acknowledged after a time.
func (l *load) ackedSince(t time.Time) bool { return l.acked.Load() > t.UnixNano() }

// client is one connection, to one node at a time, and what it asks for.
type client struct {
	load *load
	id   uint64
	conn *conn
	at   string // node the connection goes to
	draw *rand.Rand

	source  *source.Source
	era     uint64 // of the source
	session uint64
}

func (c *client) leave() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}

// next draws an operation, asks for it once, and records it.
func (c *client) next(late time.Duration) {
	if era := c.load.era.Load(); c.source == nil || era != c.era {
		c.era, c.session = era, c.load.session.Add(1)
		c.source = source.NewSource(drawn, c.session, c.id)
	}
	c.source.Retire(c.id) // if it is another one now
	op := c.source.Next(c.draw)
	op.Late = max(late, 0)
	if op.Kind == history.Get && c.draw.IntN(everyNode) == 0 {
		op.Node = ids[c.draw.IntN(len(ids))]
	}
	key := op.Key
	op.Key = ofEra(op.Key, c.era)
	op = c.do(op)
	op.Key = key
	c.source.Observe(op)
}

// ofEra gives a register or a counter a name of its era.
func ofEra(key string, era uint64) string {
	for _, prefix := range []string{source.Registers, source.Counters} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			return fmt.Sprintf("%s%d/%s", prefix, era, rest)
		}
	}
	return key
}

// do asks for one operation, once, and records it.
func (c *client) do(op history.Op) history.Op {
	if op.Node == "" {
		op.Node = ids[c.load.lead.Load()]
	}
	op = c.load.record.Begin(op)
	err := c.ask(&op)
	c.load.heard(op, err)
	if err != nil {
		op.Error = err.Error()
	}
	op = c.load.record.End(op)
	if op.Outcome == history.Unknown {
		c.leave()
		c.id = c.load.clients.Add(1)
	}
	if op.Outcome == history.Applied && op.Kind.Writes() {
		c.load.acked.Store(time.Now().UnixNano())
	}
	c.load.follow(op, err)
	return op
}

// ask sends the commands of op and sets its outcome.
func (c *client) ask(op *history.Op) error {
	op.Outcome = history.NotApplied
	if err := c.reach(op.Node); err != nil {
		return err
	}
	last, err := c.exchange(op)
	if err != nil {
		c.leave()
		var u unsent
		if !errors.As(err, &u) {
			op.Outcome = history.Unknown
		}
		return err
	}
	if op.Refused {
		return nil
	}
	if last.Fault != "" {
		return c.refused(op, last)
	}
	op.Outcome = history.Applied
	return c.understand(op, last)
}

// reach connects to a node, if the connection is not there already.
func (c *client) reach(id string) error {
	if c.conn != nil && c.at == id {
		return nil
	}
	c.leave()
	conn, err := dial(at(c.load.nodes[place(id)].net.addr(id), portRESP))
	if err != nil {
		return err
	}
	c.conn, c.at = conn, id
	return nil
}
