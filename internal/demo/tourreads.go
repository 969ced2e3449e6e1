package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// lag shows who has what at one moment, and waits until all have all.
func (t *tour) lag(ctx context.Context) error {
	s, err := t.status(ctx, t.leader)
	if err != nil {
		return err
	}
	rows := [][]string{{string(s.Node), "leader", fmt.Sprint(s.Flushed), fmt.Sprint(s.Applied), "0", "", ""}}
	for _, n := range t.followers() {
		p := peerOf(s, n.ID)
		rows = append(rows, []string{
			string(n.ID), commitMode(p.Sync), fmt.Sprint(p.Flushed), fmt.Sprint(p.Applied),
			fmt.Sprint(p.Lag.Records), grid.Bytes(p.Lag.Bytes), p.Lag.Time.Round(100 * time.Microsecond).String(),
		})
	}
	t.table([]string{"node", "role", "flush lsn", "replay lsn", "lag", "in bytes", "in time"}, rows)
	if s.Flushed < t.latest.LSN {
		return fmt.Errorf("the leader has flushed LSN %d, and acknowledged %d", s.Flushed, t.latest.LSN)
	}
	if err := t.caughtUp(ctx, t.latest.Token); err != nil {
		return err
	}
	err = until(ctx, func(ctx context.Context) error {
		s, err := t.status(ctx, t.leader)
		if err != nil {
			return err
		}
		for _, n := range t.followers() {
			if p := peerOf(s, n.ID); p.Applied != s.Flushed || p.Lag != (topology.Lag{}) {
				return fmt.Errorf("%s is at LSN %d of %d: lag %+v", n.ID, p.Applied, s.Flushed, p.Lag)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.held("the leader has flushed LSN %d; every follower has applied it, lag 0", s.Flushed)
	return nil
}

// read reads six rows, each from the next follower, from its own store.
func (t *tour) read(ctx context.Context) error {
	var rows [][]string
	ws, fs := t.newest(), t.followers()
	for i := range 6 {
		w, n := ws[i%len(ws)], fs[i%len(fs)]
		r, err := t.at[n.ID].Get(ctx, w.table, []byte(w.key), client.Any())
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), w.table + "/" + w.key, rowText(r.Value), r.Dot.String(), string(r.Served)})
		if err := matches(w, r, n); err != nil {
			t.table(readHeader, rows)
			return err
		}
	}
	t.table(readHeader, rows)
	t.held("6 reads, round-robin over %d followers, each the newest version", len(fs))
	return nil
}

var readHeader = []string{"read", "row", "value", "transaction", "served by"}

// rowText shows the values of a row's columns.
func rowText(b []byte) string {
	r := pack.NewReader(b)
	var out bytes.Buffer
	for n := r.Map(); n > 0 && r.Err() == nil; n-- {
		if out.Len() > 0 {
			out.WriteString(", ")
		}
		name, value := r.Str(), r.Skip()
		v := pack.NewReader(value)
		if i := v.Int(); v.Err() == nil {
			fmt.Fprintf(&out, "%s %d", name, i)
			continue
		}
		v = pack.NewReader(value)
		fmt.Fprintf(&out, "%s %s", name, v.Str())
	}
	return out.String()
}

// readOwn writes, and reads it back at once from whoever has it, and then from
// the follower that is furthest behind.
func (t *tour) readOwn(ctx context.Context) error {
	r, err := t.put(ctx, true, tableUsers, 1003, user("Charlie"))
	if err != nil {
		return err
	}
	t.table(writtenHeader, [][]string{t.written(true, tableUsers, 1003, "Charlie", r)})
	w := t.sent[len(t.sent)-1]
	from, why, err := t.whoHas(ctx, r.LSN)
	if err != nil {
		return err
	}
	if err := t.expect(ctx, from, w); err != nil {
		return err
	}
	t.line("at once: %s, from %s", rowText(w.value), why)

	fs := t.followers()
	slow := fs[len(fs)-1]
	_, err = t.at[slow.ID].Get(ctx, w.table, []byte(w.key), client.Any())
	switch {
	case errors.Is(err, topology.ErrNotFound):
		t.line("without the token: %s, which applies after %v, does not show it yet", slow.ID, slow.ApplyDelay)
	case err == nil:
		t.line("without the token: %s shows it already", slow.ID)
	default:
		return err
	}
	if err := t.expect(ctx, slow, w); err != nil {
		return err
	}
	t.line("with the token: %s waits until it has it, and serves it", slow.ID)
	t.held("user 1003 was read back at once from %s, and with its token from %s", from.ID, slow.ID)
	return nil
}

// whoHas returns the first follower that shows lsn, or else the leader.
func (t *tour) whoHas(ctx context.Context, lsn record.LSN) (*node, string, error) {
	for _, n := range t.followers() {
		s, err := t.status(ctx, n)
		if err != nil {
			return nil, "", err
		}
		if s.Applied >= lsn {
			return n, fmt.Sprintf("%s, which has applied LSN %d", n.ID, s.Applied), nil
		}
	}
	return t.leader, fmt.Sprintf("the leader, as no follower shows LSN %d yet", lsn), nil
}

const (
	bulkWrites = 5
	bulkRows   = 100
	bulkPause  = 5 * time.Millisecond
	bulkFirst  = 6001 // key of the first order
)

// burst makes five bulk writes and looks at the followers three times.
func (t *tour) burst(ctx context.Context) error {
	before := t.latest.LSN
	for i := range bulkWrites {
		if err := t.bulk(ctx, bulkFirst+i*bulkRows); err != nil {
			return err
		}
	}
	started := time.Now()
	fs := t.followers()
	took := make([]time.Duration, len(fs))
	var atOnce, later, last []uint64
	g, within := errgroup.WithContext(ctx)
	for i, n := range fs {
		g.Go(func() error {
			err := t.at[n.ID].Wait(within, t.latest.Token)
			took[i] = time.Since(started)
			return err
		})
	}
	g.Go(func() (err error) {
		if atOnce, err = t.lags(within); err == nil {
			pause(within, bulkPause-time.Since(started))
			later, err = t.lags(within)
		}
		return err
	})
	err := g.Wait()
	if err == nil {
		last, err = t.lags(ctx)
	}
	if err != nil {
		return err
	}
	t.line("%d bulk writes of %d orders each: LSN %d to %d", bulkWrites, bulkRows, before+1, t.latest.LSN)
	var rows [][]string
	for i, n := range fs {
		rows = append(rows, []string{
			string(n.ID), delayOf(n.ApplyDelay), fmt.Sprint(atOnce[i]), fmt.Sprint(later[i]), fmt.Sprint(last[i]),
			"after " + took[i].Round(100*time.Microsecond).String(),
		})
	}
	t.table([]string{"follower", "apply delay", "lag at once", "after " + bulkPause.String(), "in the end", "caught up"}, rows)
	for i, n := range fs {
		if atOnce[i] < later[i] || later[i] < last[i] || last[i] != 0 {
			return fmt.Errorf("the lag of %s went from %d to %d to %d", n.ID, atOnce[i], later[i], last[i])
		}
	}
	t.held("every follower has applied LSN %d", t.latest.LSN)
	return nil
}

// bulk inserts orders from one key on in one atomic write.
func (t *tour) bulk(ctx context.Context, first int) error {
	b := client.NewBatch()
	for i := range bulkRows {
		key := []byte(strconv.Itoa(first + i))
		b.IfAbsent(tableOrders, key).Put(tableOrders, key, order(1001+i%3, fmt.Sprintf("%d.%02d", 10+i, i)))
	}
	r, err := t.all.Batch(ctx, b)
	if err != nil {
		return err
	}
	t.keys[tableOrders] += bulkRows
	return t.acknowledged(sent{table: tableOrders, key: fmt.Sprintf("%d…", first), receipt: r})
}

// lags asks every follower at once how many records it does not show yet.
func (t *tour) lags(ctx context.Context) ([]uint64, error) {
	fs := t.followers()
	lags := make([]uint64, len(fs))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range fs {
		g.Go(func() error {
			s, err := t.status(ctx, n)
			lags[i] = uint64(t.latest.LSN - min(t.latest.LSN, s.Applied))
			return err
		})
	}
	return lags, g.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
