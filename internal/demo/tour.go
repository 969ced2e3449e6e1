package demo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// fitsTour wants the cluster that the tour tells of.
func fitsTour(c *config.Cluster) error {
	p := c.Topology.Sync.Policy
	if p.Kind != quorum.KindFirst || p.K != 1 || len(c.Replicas) != 4 || len(p.Of) != 3 || p.Of[0] != "standby-1" {
		return fmt.Errorf("it tells of a leader and three standbys, of which commits wait for the first: of the cluster %s", NameDefault)
	}
	if err := fitsElection(c); err != nil {
		return err
	}
	for _, table := range []string{tableUsers, tableOrders} {
		if !holds(c, table, "row") {
			return fmt.Errorf("it needs a table %s of rows", table)
		}
	}
	return nil
}

// tourDelays are how late two followers are, so that lag can be seen: short enough
// for one that may have to lead, and so of the tour and not of the file.
var tourDelays = map[topology.NodeID]time.Duration{"standby-2": 5 * time.Millisecond, "standby-3": 15 * time.Millisecond}

func tourDelay(_ Options, n *node) time.Duration { return max(n.ApplyDelay, tourDelays[n.ID]) }

const (
	tableUsers  = "users"
	tableOrders = "orders"
)

// tour is what its phases have come to.
type tour struct {
	*demo
	sent []sent         // every write, in the order of its LSN
	keys map[string]int // how many keys each table should hold
}

// sent is a write that was acknowledged.
type sent struct {
	table, key string
	value      []byte
	receipt    client.Receipt
}

func playTour(ctx context.Context, d *demo) error {
	t := &tour{demo: d, keys: map[string]int{}}
	return d.phases(ctx, []phase{
		{"a leader and three followers", t.boot},
		{"the writes", t.write},
		{"who has what", t.lag},
		{"reads from the followers", t.read},
		{"read your own write", t.readOwn},
		{"a burst, and how the followers keep up", t.burst},
		{"the leader is killed", t.failover},
		{"what everybody holds", t.compare},
	})
}

// boot waits until the cluster is one.
func (t *tour) boot(ctx context.Context) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	s, err := t.status(ctx, t.leader)
	if err != nil {
		return err
	}
	rows := [][]string{{string(s.Node), string(s.Role), "", "none", t.leader.addr}}
	for _, n := range t.followers() {
		f, err := t.status(ctx, n)
		if err != nil {
			return err
		}
		if f.Delay != n.ApplyDelay {
			return fmt.Errorf("%s applies after %v, not after %v", n.ID, f.Delay, n.ApplyDelay)
		}
		counted := peerOf(s, n.ID).Sync
		if counted != (n.ID == "standby-1") {
			return fmt.Errorf("whether commits wait for %s: %v", n.ID, counted)
		}
		rows = append(rows, []string{string(n.ID), string(f.Role), commitMode(counted), delayOf(f.Delay), n.addr})
	}
	t.table([]string{"node", "role", "commit", "apply delay", "address"}, rows)
	t.held("%s leads term %d and streams its log to three followers; a commit waits for standby-1", s.Node, s.Term)
	return nil
}

func commitMode(counted bool) string {
	if counted {
		return "sync"
	}
	return "async"
}

func delayOf(d time.Duration) string {
	if d == 0 {
		return "none"
	}
	return d.String()
}

// column is a column of a row: a name, and a string or an int.
type column struct {
	name  string
	value any
}

// rowOf is the value of a row with these columns, which stand in the order of
// their names.
func rowOf(columns ...column) []byte {
	w := pack.NewWriter(nil)
	w.Map(len(columns))
	for _, c := range columns {
		w.Str(c.name)
		switch v := c.value.(type) {
		case string:
			w.Str(v)
		case int:
			w.Int(int64(v))
		}
	}
	return w.Bytes()
}

// columnName is the column of a user.
const columnName = "name"

func user(name string) []byte { return rowOf(column{columnName, name}) }

func order(user int, amount string) []byte {
	return rowOf(column{"amount", amount}, column{"user", user})
}

// put writes a row through the leader. One that is inserted must not be there.
func (t *tour) put(ctx context.Context, insert bool, table string, key int, value []byte) (client.Receipt, error) {
	var opts []client.Option
	if insert {
		opts = append(opts, client.IfAbsent())
	}
	k := strconv.Itoa(key)
	r, err := t.all.Put(ctx, table, []byte(k), value, opts...)
	if err != nil {
		return r, err
	}
	if insert {
		t.keys[table]++
	}
	return r, t.acknowledged(sent{table: table, key: k, value: value, receipt: r})
}

// acknowledged keeps what was acknowledged, and holds the receipt to what it must be:
// the next place in the log, and durable where the policy says.
func (t *tour) acknowledged(w sent) error {
	r := &w.receipt
	if n := len(t.sent); n > 0 && r.LSN <= t.sent[n-1].receipt.LSN {
		return fmt.Errorf("%s/%s got LSN %d after %d", w.table, w.key, r.LSN, t.sent[n-1].receipt.LSN)
	}
	if r.Durability < topology.Flushed || !slices.Contains(r.Durable, t.leader.ID) || len(r.Durable) < 2 {
		return fmt.Errorf("%s/%s was acknowledged %v at %v, not flushed at the leader and one more", w.table, w.key, r.Durability, r.Durable)
	}
	t.sent = append(t.sent, w)
	t.latest = w.receipt
	return nil
}

// write makes the first five writes.
func (t *tour) write(ctx context.Context) error {
	var rows [][]string
	for _, w := range []struct {
		insert bool
		table  string
		key    int
		value  []byte
		shown  string
	}{
		{true, tableUsers, 1001, user("Alice"), "Alice"},
		{true, tableUsers, 1002, user("Bob"), "Bob"},
		{true, tableOrders, 5001, order(1001, "299.99"), "user 1001, 299.99"},
		{false, tableUsers, 1001, user("Alice Chen"), "Alice Chen"},
		{true, tableOrders, 5002, order(1002, "149.50"), "user 1002, 149.50"},
	} {
		r, err := t.put(ctx, w.insert, w.table, w.key, w.value)
		if err != nil {
			return err
		}
		rows = append(rows, t.written(w.insert, w.table, w.key, w.shown, r))
	}
	t.table(writtenHeader, rows)
	if first, last := t.sent[0].receipt, t.latest; uint64(last.LSN-first.LSN) != 4 || last.Dot.Seq-first.Dot.Seq != 4 {
		return fmt.Errorf("five writes took LSN %d to %d and transactions %v to %v", first.LSN, last.LSN, first.Dot, last.Dot)
	}
	for _, w := range t.newest() {
		if err := t.expect(ctx, t.leader, w); err != nil {
			return err
		}
	}
	t.held("5 writes, 5 transactions, LSN %d to %d without a gap, each durable at the leader and standby-1", t.sent[0].receipt.LSN, t.latest.LSN)
	return nil
}

var writtenHeader = []string{"lsn", "transaction", "operation", "row", "value", "durable at"}

func (t *tour) written(insert bool, table string, key int, shown string, r client.Receipt) []string {
	op := "update"
	if insert {
		op = "insert"
	}
	return []string{fmt.Sprint(r.LSN), r.Dot.String(), op, fmt.Sprintf("%s/%d", table, key), shown, names(r.Durable)}
}

// names prints nodes in one cell.
func names(ids []topology.NodeID) string {
	var b bytes.Buffer
	for i, id := range ids {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(id))
	}
	return b.String()
}

// newest are the writes that no later one has replaced, bulk writes apart.
func (t *tour) newest() []sent {
	at := map[string]int{}
	var ws []sent
	for _, w := range t.sent {
		if w.value == nil {
			continue
		}
		if i, ok := at[w.table+"/"+w.key]; ok {
			ws[i] = w
			continue
		}
		at[w.table+"/"+w.key] = len(ws)
		ws = append(ws, w)
	}
	return ws
}

// expect reads a row at n, in n's own session, and compares.
func (t *tour) expect(ctx context.Context, n *node, w sent) error {
	r, err := t.at[n.ID].Get(ctx, w.table, []byte(w.key), client.After(t.latest.Token))
	if err != nil {
		return err
	}
	return matches(w, r, n)
}

func matches(w sent, r client.Reading, n *node) error {
	if !bytes.Equal(r.Value, w.value) || r.Dot != w.receipt.Dot {
		return fmt.Errorf("%s/%s at %s is %q of %v, and %q of %v was written", w.table, w.key, n.ID, r.Value, r.Dot, w.value, w.receipt.Dot)
	}
	if r.Served != n.ID {
		return fmt.Errorf("%s/%s was asked of %s and served by %s", w.table, w.key, n.ID, r.Served)
	}
	return nil
}
