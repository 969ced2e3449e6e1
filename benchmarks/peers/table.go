package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"

	"github.com/hashicorp/raft"
)

// table is the state machine: a map in memory.
type table struct {
	mu    sync.Mutex
	cells map[string][]byte
}

// encode makes a command of a write: the key's length in one byte, the key,
// the value.
func encode(key, value []byte) []byte {
	b := make([]byte, 0, 1+len(key)+len(value))
	return append(append(append(b, byte(len(key))), key...), value...)
}

var errCommand = errors.New("not a command of this table")

func decode(b []byte) (key, value []byte, err error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, errCommand
	}
	return b[1 : 1+b[0]], b[1+b[0]:], nil
}

// Apply implements raft.FSM.
func (t *table) Apply(l *raft.Log) any {
	k, v, err := decode(l.Data)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cells[string(k)] = v
	return nil
}

// Snapshot implements raft.FSM. Values are never changed in place, so a shallow
// copy is a view of one time.
func (t *table) Snapshot() (raft.FSMSnapshot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return snapshot(maps.Clone(t.cells)), nil
}

// Restore implements raft.FSM.
func (t *table) Restore(in io.ReadCloser) error {
	defer func() { _ = in.Close() }()
	cells := map[string][]byte{}
	r := bufio.NewReader(in)
	for {
		n, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n > commandBytesMax {
			return fmt.Errorf("%w: %d bytes", errCommand, n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		k, v, err := decode(b)
		if err != nil {
			return err
		}
		cells[string(k)] = v
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cells = cells
	return nil
}

// commandBytesMax is the largest command a snapshot may hold.
const commandBytesMax = 2 << 20

// snapshot is a table at one time: its commands, each behind its length.
type snapshot map[string][]byte

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	w := bufio.NewWriter(sink)
	var length []byte
	for k, v := range s {
		b := encode([]byte(k), v)
		length = binary.AppendUvarint(length[:0], uint64(len(b)))
		if _, err := w.Write(append(length, b...)); err != nil {
			return errors.Join(err, sink.Cancel())
		}
	}
	if err := w.Flush(); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
