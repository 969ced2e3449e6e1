// Package static is a control backend without a vote: the documents of one node
// stand in files beside its log, and nobody elects anybody (rule K2).
//
// What it promises, of this node alone:
//
//	T1  A document changes by Swap on its version only, and the change is
//	    durable before Swap returns. A Swap that fails at the disk is Unknown.
//	T2  A version is never given twice: also after a crash a document is at the
//	    last version that was returned, or at the one that was Unknown.
//	T3  The channel of Latest is closed once a newer version is known.
//	T4  The number of a registration is greater than every one given before,
//	    also before a restart.
//
// What it does not: nodes do not agree. Each has its own documents, and an
// engine that runs on it carries its decisions to the other nodes itself: a
// change of leader by hand writes the next term on every node that can be
// reached, and a node that meets a higher term follows it. So there is no
// failover without a person, and none is pretended.
//
// It assumes a [topology.Stable] that forgets nothing it has returned for.
package static

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Limits of the backend.
const (
	BodyBytesMax = 1<<20 - 64 // of one document, so that it fits a Stable
	NamesMax     = 256        // documents that one backend holds
	nameBytesMax = 63
)

// Options configure the backend. The zero value works for a node that is alone.
type Options struct {
	// Leader leads the first term. The others follow it. It is used where no
	// group document exists, and never again.
	Leader topology.NodeID
}

// New returns a builder of the backend.
func New(o Options) topology.ControlBuilder {
	return func(env topology.ControlEnv) (topology.Control, error) { return open(env, o) }
}

// Control is the backend. It is safe for concurrent use.
type Control struct {
	leader topology.NodeID
	stable topology.Stable
	logger *slog.Logger

	// turn holds one token: who has it may read and write the files. Callers
	// queue for it as long as their context lasts.
	turn chan struct{}

	mu        sync.Mutex // guards what follows; never held over I/O
	documents map[string]*latest
	claims    map[topology.NodeID]*claim
}

// latest is the newest known form of one document.
type latest struct {
	document topology.Document
	loaded   bool          // from the file; until then nothing is known
	stale    chan struct{} // closed when document is replaced
}

var (
	_ topology.Control = (*Control)(nil)
	_ topology.Seeder  = (*Control)(nil)
)

// open reads the documents that every engine asks for, so that what is known
// after a restart is known at once.
func open(env topology.ControlEnv, o Options) (*Control, error) {
	if o.Leader != "" && !o.Leader.Valid() {
		return nil, fmt.Errorf("control: leader %q is not a node's name", o.Leader)
	}
	c := &Control{
		leader: o.Leader, stable: env.Stable, logger: env.Logger, turn: make(chan struct{}, 1),
		documents: map[string]*latest{}, claims: map[topology.NodeID]*claim{},
	}
	c.turn <- struct{}{}
	for _, name := range []string{topology.DocumentGroup, topology.DocumentTables} {
		if _, err := c.Load(context.Background(), name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// FirstLeader implements topology.Seeder.
func (c *Control) FirstLeader() topology.NodeID { return c.leader }

// ByHand implements [topology.ByHand].
func (c *Control) ByHand() {}

// Run implements topology.Control: there is nothing to do.
func (c *Control) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Load implements topology.Control. The body is the caller's.
func (c *Control) Load(ctx context.Context, name string) (topology.Document, error) {
	if err := c.enter(ctx); err != nil {
		return topology.Document{}, fail("load", topology.NotApplied, err)
	}
	defer c.leave()
	d, err := c.load(name)
	if err != nil {
		return topology.Document{}, fail("load", topology.NotApplied, err)
	}
	return clone(d), nil
}

// Swap implements topology.Control. It keeps nothing of d.
func (c *Control) Swap(ctx context.Context, d topology.Document) (topology.Document, error) {
	if len(d.Body) > BodyBytesMax {
		return topology.Document{}, fail("swap", topology.NotApplied,
			fmt.Errorf("document %s: %d bytes are more than %d: %w", d.Name, len(d.Body), BodyBytesMax, topology.ErrTooLarge))
	}
	if err := c.enter(ctx); err != nil {
		return topology.Document{}, fail("swap", topology.NotApplied, err)
	}
	defer c.leave()
	have, err := c.load(d.Name)
	if err == nil && have.Version != d.Version {
		err = fmt.Errorf("document %s is at version %d, not %d: %w", d.Name, have.Version, d.Version, topology.ErrConflict)
	}
	if err == nil && d.Version == math.MaxUint64 {
		err = fmt.Errorf("document %s: the last version is reached: %w", d.Name, topology.ErrTooLarge)
	}
	if err != nil {
		return topology.Document{}, fail("swap", topology.NotApplied, err)
	}
	next := clone(d)
	next.Version++
	if err := c.stable.Save(stableName(d.Name), encodeDocument(next)); err != nil {
		c.forget(d.Name)
		return topology.Document{}, fail("swap", topology.Unknown, fmt.Errorf("document %s: %w", d.Name, err))
	}
	c.learn(next)
	return clone(next), nil
}

// Latest implements topology.Control. A document that was not loaded yet has
// version 0; the one that every engine asks for is loaded from the start. The
// body is shared: read only.
func (c *Control) Latest(name string) (topology.Document, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, known := c.documents[name]
	switch {
	case known:
		return l.document, l.stale
	case !validName(name) || len(c.documents) >= NamesMax:
		return topology.Document{Name: name}, nil // never closed: there will be none
	}
	l = &latest{document: topology.Document{Name: name}, stale: make(chan struct{})}
	c.documents[name] = l
	return l.document, l.stale
}

// load returns the document from memory, or from its file the first time. Its
// caller has the turn.
func (c *Control) load(name string) (topology.Document, error) {
	if !validName(name) {
		return topology.Document{}, fmt.Errorf("document %q: not a name for one: %w", name, topology.ErrMalformed)
	}
	c.mu.Lock()
	l, known := c.documents[name]
	full := !known && len(c.documents) >= NamesMax
	c.mu.Unlock()
	switch {
	case known && l.loaded:
		return l.document, nil
	case full:
		return topology.Document{}, fmt.Errorf("document %s: there are %d already: %w", name, NamesMax, topology.ErrTooLarge)
	}
	d := topology.Document{Name: name}
	b, err := c.stable.Load(stableName(name))
	if err == nil && b != nil {
		d, err = decodeDocument(b, name)
	}
	if err != nil {
		return topology.Document{}, fmt.Errorf("document %s: %w", name, err)
	}
	c.learn(d)
	return d, nil
}

// learn makes d the latest known form, and what was known before stale.
func (c *Control) learn(d topology.Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, known := c.documents[d.Name]
	if !known {
		l = &latest{document: topology.Document{Name: d.Name}, stale: make(chan struct{})}
		c.documents[d.Name] = l
	}
	newer := d.Version > l.document.Version
	l.document, l.loaded = d, true
	if newer {
		close(l.stale)
		l.stale = make(chan struct{})
	}
}

// forget makes the next load read the file again, after a Save of which nobody
// knows whether it took place.
func (c *Control) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.documents[name].loaded = false
}

func (c *Control) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
}

func (c *Control) leave() { c.turn <- struct{}{} }

func clone(d topology.Document) topology.Document {
	d.Body = append([]byte(nil), d.Body...)
	return d
}

func fail(op string, outcome topology.Outcome, err error) error {
	return &topology.Error{Op: op, Outcome: outcome, Err: err}
}

// A document's file is a msgpack array of three:
//
//	0  format   uint, 1
//	1  version  uint
//	2  body     bin
const documentFormat = 1

func encodeDocument(d topology.Document) []byte {
	w := pack.NewWriter(make([]byte, 0, len(d.Body)+16))
	w.Array(3)
	w.Uint(documentFormat)
	w.Uint(d.Version)
	w.Bin(d.Body)
	return w.Bytes()
}

func decodeDocument(b []byte, name string) (topology.Document, error) {
	r := pack.NewReader(b)
	r.ArrayOf(3)
	if f := r.Uint(); r.Err() == nil && f != documentFormat {
		return topology.Document{}, fmt.Errorf("format %d: this version knows %d; upgrade this node", f, documentFormat)
	}
	d := topology.Document{Name: name, Version: r.Uint(), Body: r.BinMax(BodyBytesMax)}
	return d, r.Done()
}

func stableName(name string) string { return "control/" + name }

// validName: a letter, then letters, digits, '-', '.', '_' and '/', 63 at most.
func validName(name string) bool {
	if name == "" || len(name) > nameBytesMax || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '/' {
			return false
		}
	}
	return true
}
