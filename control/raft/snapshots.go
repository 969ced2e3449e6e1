package raft

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// snapshotBytesMax bounds a snapshot: the documents, and what is remembered of
// processes and names.
const snapshotBytesMax = StateBytesMax + 192<<10

// snapshotStore keeps the newest snapshot as one small document, which replaces the
// one before it atomically.
type snapshotStore struct {
	stable topology.Stable

	mu   sync.Mutex // a leaf; guards what follows
	meta *raft.SnapshotMeta
	body []byte
}

var _ raft.SnapshotStore = (*snapshotStore)(nil)

func openSnapshotStore(s topology.Stable) (*snapshotStore, error) {
	b, err := s.Load(stableSnapshot)
	if err != nil {
		return nil, fmt.Errorf("control: the snapshot: %w", err)
	}
	st := &snapshotStore{stable: s}
	if b == nil {
		return st, nil
	}
	if st.meta, st.body, err = decodeSnapshot(b); err != nil {
		return nil, fmt.Errorf("control: the snapshot: %w", err)
	}
	return st, nil
}

// List implements raft.SnapshotStore.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta == nil {
		return nil, nil
	}
	m := *s.meta
	return []*raft.SnapshotMeta{&m}, nil
}

// Open implements raft.SnapshotStore.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta == nil || s.meta.ID != id {
		return nil, nil, fmt.Errorf("control: snapshot %s: %w", id, topology.ErrNotFound)
	}
	m := *s.meta
	return &m, io.NopCloser(bytes.NewReader(s.body)), nil
}

// Create implements raft.SnapshotStore.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	m := raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term, Configuration: c.Clone(), ConfigurationIndex: at,
	}
	return &sink{store: s, meta: m}, nil
}

// keep makes a snapshot the newest one, durably.
func (s *snapshotStore) keep(m raft.SnapshotMeta, body []byte) error {
	if err := s.stable.Save(stableSnapshot, encodeSnapshot(m, body)); err != nil {
		return fmt.Errorf("control: the snapshot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meta, s.body = &m, body
	return nil
}

// sink takes one snapshot.
type sink struct {
	store *snapshotStore
	meta  raft.SnapshotMeta
	body  []byte
	done  bool
}

// ID implements raft.SnapshotSink.
func (s *sink) ID() string { return s.meta.ID }

// Write implements raft.SnapshotSink.
func (s *sink) Write(p []byte) (int, error) {
	if len(s.body)+len(p) > snapshotBytesMax {
		return 0, fmt.Errorf("control: a snapshot of more than %d bytes: %w", snapshotBytesMax, topology.ErrTooLarge)
	}
	s.body = append(s.body, p...)
	return len(p), nil
}

// Close implements raft.SnapshotSink.
func (s *sink) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	s.meta.Size = int64(len(s.body))
	return s.store.keep(s.meta, s.body)
}

// Cancel implements raft.SnapshotSink.
func (s *sink) Cancel() error {
	s.done = true
	return nil
}

// A snapshot is an array of eight: format, version, index, term, index of the
// configuration, servers (an array of id, address, suffrage, …), id, body.
func encodeSnapshot(m raft.SnapshotMeta, body []byte) []byte {
	w := pack.NewWriter(make([]byte, 0, len(body)+1024))
	w.Array(8)
	w.Uint(format)
	w.Uint(uint64(m.Version))
	w.Uint(m.Index)
	w.Uint(m.Term)
	w.Uint(m.ConfigurationIndex)
	putServers(w, m.Configuration)
	w.Str(m.ID)
	w.Bin(body)
	return w.Bytes()
}

func decodeSnapshot(b []byte) (*raft.SnapshotMeta, []byte, error) {
	r := pack.NewReader(b)
	r.ArrayOf(8)
	getFormat(&r)
	m := &raft.SnapshotMeta{
		Version: raft.SnapshotVersion(r.UintMax(uint64(raft.SnapshotVersionMax))), Index: r.Uint(), Term: r.Uint(), ConfigurationIndex: r.Uint(),
	}
	m.Configuration = getServers(&r)
	m.ID = r.StrMax(serverBytesMax)
	body := append([]byte(nil), r.BinMax(snapshotBytesMax)...)
	m.Size = int64(len(body))
	if m.Index == 0 || m.ID == "" {
		r.Fail("of nothing")
	}
	return m, body, r.Done()
}

const (
	serverFields = 3
	serversMax   = 16
)

func putServers(w *pack.Writer, c raft.Configuration) {
	w.Array(serverFields * len(c.Servers))
	for _, s := range c.Servers {
		w.Str(string(s.ID))
		w.Str(string(s.Address))
		w.Uint(uint64(s.Suffrage))
	}
}

func getServers(r *pack.Reader) (c raft.Configuration) {
	for n := records(r, serverFields, serversMax); n > 0 && r.Err() == nil; n-- {
		s := raft.Server{ID: raft.ServerID(r.StrMax(serverBytesMax)), Address: raft.ServerAddress(r.StrMax(serverBytesMax))}
		s.Suffrage = raft.ServerSuffrage(r.UintMax(uint64(raft.Nonvoter)))
		if _, err := parseServer(string(s.ID)); err != nil && r.Err() == nil {
			r.Fail("not a server's id")
		}
		c.Servers = append(c.Servers, s)
	}
	return c
}
