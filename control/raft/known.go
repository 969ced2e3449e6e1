package raft

import (
	"bytes"
	"maps"
	"slices"
	"sync"

	"github.com/triad-kv/triad/topology"
)

// known is the newest form of each document that this node has heard of.
type known struct {
	electors []topology.NodeID // who votes, as it was kept at the last start; nil: never changed

	mu        sync.Mutex // a leaf; guards what follows
	documents map[string]*latest
	news      chan struct{} // closed when one has changed
}

type latest struct {
	document topology.Document
	stale    chan struct{} // closed when document is replaced
}

func newKnown() *known {
	return &known{documents: map[string]*latest{}, news: make(chan struct{})}
}

// get returns the newest form, and a channel that is closed once there is a newer
// one; nil where there can be none.
func (k *known) get(name string) (topology.Document, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.entry(name)
	if l == nil {
		return topology.Document{Name: name}, nil
	}
	return l.document, l.stale
}

// entry returns the entry of a name, nil if there are as many as there may be. Its
// caller has the lock.
func (k *known) entry(name string) *latest {
	l := k.documents[name]
	if l == nil && validName(name) && len(k.documents) < 2*NamesMax {
		l = &latest{document: topology.Document{Name: name}, stale: make(chan struct{})}
		k.documents[name] = l
	}
	return l
}

// learn notes a document, which is the table's from here on, unless a newer form is
// known.
func (k *known) learn(d topology.Document) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.entry(d.Name)
	if l == nil || d.Version <= l.document.Version {
		return
	}
	l.document = d
	close(l.stale)
	l.stale = make(chan struct{})
	close(k.news)
	k.news = make(chan struct{})
}

// versions returns what is known, by name in order.
func (k *known) versions() []topology.Document {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []topology.Document
	for _, name := range slices.Sorted(maps.Keys(k.documents)) {
		if d := k.documents[name].document; d.Version > 0 {
			all = append(all, topology.Document{Name: d.Name, Version: d.Version})
		}
	}
	return all
}

// newer returns the documents that are newer than those somebody has, and a channel
// that is closed once there are more. The bodies are shared.
func (k *known) newer(have []topology.Document) ([]topology.Document, <-chan struct{}) {
	at := make(map[string]uint64, len(have))
	for _, d := range have {
		at[d.Name] = d.Version
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []topology.Document
	for _, name := range slices.Sorted(maps.Keys(k.documents)) {
		if d := k.documents[name].document; d.Version > at[name] {
			all = append(all, d)
		}
	}
	return all, k.news
}

func clone(d topology.Document) topology.Document {
	d.Body = bytes.Clone(d.Body)
	return d
}
