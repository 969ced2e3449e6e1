package etcd

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// knowledge is what this node knows of etcd: what it has seen, durably, and what
// Latest shows. It is safe for concurrent use.
type knowledge struct {
	stable topology.Stable
	pinned uint64 // etcd's id of its cluster by the options; 0: they say nothing

	// turn holds one token: who has it may save the marks.
	turn chan struct{}

	mu    sync.Mutex // guards what follows; never held over I/O
	marks marks
	slots map[string]*slot
}

// slot is what Latest knows of one key.
type slot struct {
	document topology.Document
	stale    chan struct{} // closed when document is replaced
}

// remember returns what stable keeps.
func remember(stable topology.Stable, pinned uint64) (*knowledge, error) {
	b, err := stable.Load(stableName)
	if err != nil {
		return nil, err
	}
	m, err := decodeMarks(b)
	if err != nil {
		return nil, err
	}
	k := &knowledge{stable: stable, pinned: pinned, turn: make(chan struct{}, 1), marks: m, slots: map[string]*slot{}}
	k.turn <- struct{}{}
	for key := range m.seen { // what was seen keeps its place, so that the marks never outgrow the slots
		if _, err := k.slot(key); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// slot returns what is known of a key. Its caller holds the lock.
func (k *knowledge) slot(key string) (*slot, error) {
	if s, known := k.slots[key]; known {
		return s, nil
	}
	documents := len(k.slots)
	if _, counted := k.slots[numberKey]; counted {
		documents--
	}
	if key != numberKey && documents >= NamesMax {
		return nil, fmt.Errorf("%s: there are %d documents already: %w", key, NamesMax, topology.ErrTooLarge)
	}
	s := &slot{document: topology.Document{Name: strings.TrimPrefix(key, documentKey)}, stale: make(chan struct{})}
	k.slots[key] = s
	return s, nil
}

// latest returns the newest known form of a key, and a channel that is closed once
// a newer one is known.
func (k *knowledge) latest(key string) (topology.Document, <-chan struct{}, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.slot(key)
	if err != nil {
		return topology.Document{}, nil, err
	}
	return s.document, s.stale, nil
}

// documents returns the keys of documents of which a version was seen.
func (k *knowledge) documents() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var keys []string
	for key := range k.marks.seen {
		if strings.HasPrefix(key, documentKey) {
			keys = append(keys, key)
		}
	}
	return keys
}

// note takes v, found under key in this cluster of etcd, for seen: durably first,
// then for Latest. What is older than what is known already is no news.
func (k *knowledge) note(ctx context.Context, key string, v value) error {
	k.mu.Lock()
	s, err := k.slot(key)
	news := err == nil && v.version > s.document.Version
	k.mu.Unlock()
	if !news {
		return err
	}
	if err := k.enter(ctx); err != nil {
		return err
	}
	defer k.leave()
	seen := k.seen(key)
	if v.version < seen.version {
		return nil // somebody was told of a newer one meanwhile
	}
	if err := seen.refuses(v); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if v.version > seen.version {
		if err := k.save(func(m *marks) { m.seen[key] = v.mark() }); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.learn(v)
	return nil
}

// noteCluster takes the cluster of etcd that answered for seen, or refuses it.
func (k *knowledge) noteCluster(ctx context.Context, id uint64) error {
	known, err := k.cluster(id)
	if known || err != nil {
		return err
	}
	if err := k.enter(ctx); err != nil {
		return err
	}
	defer k.leave()
	if known, err := k.cluster(id); known || err != nil {
		return err // another call was first
	}
	return k.save(func(m *marks) { m.cluster = id })
}

// cluster reports whether id is the cluster this node belongs to; false and no
// error if it belongs to none yet.
func (k *knowledge) cluster(id uint64) (bool, error) {
	want := k.pinned
	if want == 0 {
		k.mu.Lock()
		want = k.marks.cluster
		k.mu.Unlock()
	}
	if want != 0 && want != id {
		return false, fmt.Errorf("etcd's cluster is %x, and this node belongs to %x: check the endpoints; if etcd was built anew, %s: %w",
			id, want, wayOut, topology.ErrStale)
	}
	return want == id, nil
}

// save makes the marks as change leaves them durable. Its caller has the turn.
func (k *knowledge) save(change func(*marks)) error {
	k.mu.Lock()
	next := marks{cluster: k.marks.cluster, seen: maps.Clone(k.marks.seen)}
	k.mu.Unlock()
	change(&next)
	if err := k.stable.Save(stableName, encodeMarks(next)); err != nil {
		return fmt.Errorf("%s: %w: %w", stableName, topology.ErrFailed, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.marks = next
	return nil
}

// seen returns the mark of a key.
func (k *knowledge) seen(key string) mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.marks.seen[key]
}

func (k *knowledge) enter(ctx context.Context) error {
	select {
	case <-k.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
}

func (k *knowledge) leave() { k.turn <- struct{}{} }

// learn makes v the latest known form, and what was known before stale, unless it
// is older. Its caller holds the lock.
func (s *slot) learn(v value) {
	if v.version <= s.document.Version {
		return
	}
	s.document = document(s.document.Name, v)
	close(s.stale)
	s.stale = make(chan struct{})
}

// document returns v as a document. It shares nothing with v.
func document(name string, v value) topology.Document {
	return topology.Document{Name: name, Version: v.version, Body: append([]byte(nil), v.body...)}
}
