package raft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// logStore keeps raft's entries in a log that the host lends. Index and LSN are
// the same number: where raft's indices jump, as they do behind a snapshot that
// came from the leader, the log is begun anew at the index behind the jump, which
// is what topology.Range is for. What it drops then is what the snapshot covers.
//
// An entry of raft is a note, a record without a dot, so that every tool that reads
// a log reads this one.
//
// raft calls the writing methods from one goroutine at a time.
type logStore struct {
	log topology.GroupLog

	mu      sync.Mutex // a leaf
	first   uint64     // what is below is dropped, though its segment may still be there
	encoder *record.Encoder

	opened time.Time
	since  atomic.Int64 // when the write that is under way began, after opened; 0: none is
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

func newLogStore(log topology.GroupLog) *logStore {
	return &logStore{log: log, encoder: record.NewEncoder(), opened: time.Now()}
}

// IsMonotonic implements raft.MonotonicLogStore: raft then drops the whole log when
// it installs a snapshot, and leaves no stale entries before a gap.
func (l *logStore) IsMonotonic() bool { return true }

// hung returns for how long a write has been under way.
func (l *logStore) hung() time.Duration {
	if began := l.since.Load(); began != 0 {
		return time.Since(l.opened) - time.Duration(began)
	}
	return 0
}

// bounds returns the first and the last index, both 0 for none.
func (l *logStore) bounds() (first, last uint64) {
	b := l.log.Bounds()
	l.mu.Lock()
	defer l.mu.Unlock()
	first, last = max(uint64(b.First), l.first), uint64(b.End)
	if first > last {
		return 0, 0
	}
	return first, last
}

// FirstIndex implements raft.LogStore.
func (l *logStore) FirstIndex() (uint64, error) {
	first, _ := l.bounds()
	return first, nil
}

// LastIndex implements raft.LogStore.
func (l *logStore) LastIndex() (uint64, error) {
	_, last := l.bounds()
	return last, nil
}

// GetLog implements raft.LogStore.
func (l *logStore) GetLog(index uint64, log *raft.Log) error {
	if first, last := l.bounds(); index == 0 || index < first || index > last {
		return raft.ErrLogNotFound
	}
	for e, err := range l.log.Read(context.Background(), record.LSN(index)) {
		switch {
		case errors.Is(err, topology.ErrCompacted):
			return raft.ErrLogNotFound
		case err != nil:
			return fmt.Errorf("control: entry %d: %w", index, err)
		case uint64(e.LSN) != index:
			return fmt.Errorf("control: entry %d is asked for, and %d read: %w", index, e.LSN, topology.ErrMalformed)
		}
		return decodeStored(e, log)
	}
	return raft.ErrLogNotFound
}

// StoreLog implements raft.LogStore.
func (l *logStore) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. Everything is durable before it returns.
func (l *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	defer l.begin()()
	if err := l.place(logs[0].Index); err != nil {
		return err
	}
	entries := make([]record.Entry, len(logs))
	for i, g := range logs {
		entries[i] = l.encode(g)
	}
	if err := l.log.Copy(entries...); err != nil {
		return fmt.Errorf("control: entries from %d: %w", logs[0].Index, err)
	}
	last := entries[len(entries)-1].LSN
	if err := l.log.Flushed(context.Background(), last); err != nil {
		return fmt.Errorf("control: entries to %d: %w", last, err)
	}
	return nil
}

// place makes index the next one of the log.
func (l *logStore) place(index uint64) error {
	b := l.log.Bounds()
	next := record.LSN(index)
	empty := b.End+1 == b.First
	switch {
	case next == b.End+1:
		return nil
	case next <= b.End && next > b.First: // raft has dropped them before; if not, they are of an older term
		return l.truncate(topology.Range{First: b.First, Last: next - 1})
	case empty, next > b.End+1, next <= b.First:
		if err := l.truncate(topology.Range{First: next, Last: next - 1}); err != nil {
			return err
		}
		l.mu.Lock()
		l.first = 0
		l.mu.Unlock()
	}
	return nil
}

// DeleteRange implements raft.LogStore: at one end of the log, or all of it.
func (l *logStore) DeleteRange(low, high uint64) error {
	defer l.begin()()
	first, last := l.bounds()
	if last == 0 || high < first || low > last {
		return nil
	}
	switch {
	case low <= first && high >= last:
		return l.truncate(topology.Range{First: record.LSN(last + 1), Last: record.LSN(last)})
	case high >= last:
		return l.truncate(topology.Range{First: l.log.Bounds().First, Last: record.LSN(low - 1)})
	case low <= first:
		if err := l.truncate(topology.Range{First: record.LSN(high + 1), Last: record.LSN(last)}); err != nil {
			return err
		}
		l.mu.Lock()
		l.first = high + 1
		l.mu.Unlock()
		return nil
	}
	return fmt.Errorf("control: entries %d to %d are in the middle of %d to %d: %w", low, high, first, last, topology.ErrUnsupported)
}

func (l *logStore) truncate(keep topology.Range) error {
	if err := l.log.Truncate(keep); err != nil {
		return fmt.Errorf("control: keep entries %d to %d: %w", keep.First, keep.Last, err)
	}
	return nil
}

// begin notes that a write is under way, and returns how it ends.
func (l *logStore) begin() func() {
	l.since.Store(max(int64(time.Since(l.opened)), 1))
	return func() { l.since.Store(0) }
}

func (l *logStore) encode(g *raft.Log) record.Entry {
	w := pack.NewWriter(make([]byte, 0, len(g.Data)+len(g.Extensions)+64))
	w.Array(1 + entryFields)
	w.Uint(format)
	putEntry(w, g)
	note := record.Record{Term: g.Term, Mutations: []record.Mutation{{Op: record.OpMark, Value: w.Bytes()}}}
	l.mu.Lock()
	b := l.encoder.Append(nil, &note)
	l.mu.Unlock()
	return record.Entry{LSN: record.LSN(g.Index), Term: g.Term, Sum: record.Sum(b), Bytes: b}
}

// decodeStored reads an entry of the log, which it shares.
func decodeStored(e record.Entry, log *raft.Log) error {
	note, err := e.Record()
	if err == nil && (!note.IsNote() || len(note.Mutations) != 1 || note.Mutations[0].Op != record.OpMark) {
		err = fmt.Errorf("it is no note of this backend: %w", topology.ErrMalformed)
	}
	if err == nil {
		r := pack.NewReader(note.Mutations[0].Value)
		r.ArrayOf(1 + entryFields)
		getFormat(&r)
		*log = *getEntry(&r)
		err = r.Done()
	}
	if err == nil && (log.Index != uint64(e.LSN) || log.Term != e.Term) {
		err = fmt.Errorf("it says that it is entry %d of term %d: %w", log.Index, log.Term, topology.ErrMalformed)
	}
	if err != nil {
		return fmt.Errorf("control: entry %d of term %d: %w", e.LSN, e.Term, err)
	}
	return nil
}
