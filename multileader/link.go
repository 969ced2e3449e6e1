package multileader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// protocolSite is what the streams between the leaders of two sites are called.
const protocolSite = "site"

// Pauses between two attempts to reach the leader of a peer.
const (
	dialPauseMin = 50 * time.Millisecond
	dialPauseMax = time.Second
)

// link is a site's exchange with one peer: as long as this node leads its site, one
// session at a time with whoever leads the peer's.
type link struct {
	e       *engine
	peer    core.Site
	smaller bool          // this site's number is
	news    chan struct{} // term has changed
	todo    *reads

	served served // to the peer

	tables tellings

	mu      sync.Mutex // guards what follows; a leaf
	term    uint64     // that this node leads; 0: it does not
	last    uint64     // the newest session
	session *session   // nil: there is none
	problem string     // why not, or why nothing goes on
	frozen  string     // why a person has to look
	hint    topology.NodeID
	cancel  context.CancelFunc
}

func newLink(e *engine, peer core.Site) *link {
	l := &link{e: e, peer: peer, news: make(chan struct{}, 1), todo: newReads()}
	l.served.l = l
	return l
}

// leads says which term this node leads from now on; 0 for none. Sessions of another
// one end.
func (l *link) leads(term uint64) {
	l.mu.Lock()
	was := l.session
	l.term, l.session, l.frozen, l.problem = term, nil, "", ""
	l.mu.Unlock()
	if was != nil {
		_ = was.stream.Close()
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *link) leading() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term
}

// dials reports whether it is this site that opens the streams of the link: the one
// with the smaller number.
func (l *link) dials() bool {
	return l.smaller
}

// run keeps a session as long as this node leads its site.
func (l *link) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.readAll(ctx) })
	if l.dials() {
		g.Go(func() error { l.dial(ctx); return nil })
	}
	return g.Wait()
}

// dial opens streams until ctx ends.
func (l *link) dial(ctx context.Context) {
	pause := dialPauseMin
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-l.news:
			pause = dialPauseMin
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if term := l.leading(); term != 0 {
			began := time.Now()
			err := l.attempt(ctx, term)
			if time.Since(began) > dialPauseMax {
				pause = dialPauseMin
			}
			l.ended(err)
		}
		t.Reset(pause)
		pause = min(2*pause, dialPauseMax)
	}
}

// ended notes why there is no session.
func (l *link) ended(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = err.Error()
}

// attempt looks for the leader of the peer among its nodes, and talks to it for as long
// as that goes well.
func (l *link) attempt(ctx context.Context, term uint64) error {
	var last error
	tried := map[topology.NodeID]bool{}
	for _, node := range l.nodes() {
		for node != "" && !tried[node] {
			tried[node] = true
			next, err := l.greet(ctx, node, term)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			last, node = fmt.Errorf("%s: %w", node, err), next
		}
	}
	if last == nil {
		last = fmt.Errorf("%w: site %s has no members", topology.ErrUnavailable, l.peer)
	}
	return last
}

// nodes are those of the peer, the one that led it last first.
func (l *link) nodes() []topology.NodeID {
	view, _ := l.e.all.View()
	l.mu.Lock()
	hint := l.hint
	l.mu.Unlock()
	var ids []topology.NodeID
	for _, m := range view.Members {
		switch {
		case m.Site != string(l.peer):
		case m.ID == hint:
			ids = slices.Insert(ids, 0, m.ID)
		default:
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// greet opens a session with a node, if it leads the peer. If it does not, it may say
// who does. Once there was a session there is no error.
func (l *link) greet(ctx context.Context, node topology.NodeID, term uint64) (next topology.NodeID, err error) {
	st, err := l.e.env.Transport.Open(ctx, node, protocolSite)
	if err != nil {
		return "", err
	}
	defer st.Close()
	self := l.e.seated(l.e.site)
	if err := st.Send(hello{site: self, to: string(l.peer), term: term}.encode()); err != nil {
		return "", err
	}
	b, err := st.Recv()
	if err != nil {
		return "", err
	}
	w, err := decodeWelcome(b)
	if err != nil {
		return "", err
	}
	if w.refusal != "" {
		return w.leader, fmt.Errorf("%w: %s", topology.ErrUnavailable, w.refusal)
	}
	l.mu.Lock()
	l.hint = node
	l.mu.Unlock()
	l.converse(ctx, st, term)
	return "", nil
}

// serve takes a stream that the leader of another site opens.
func (e *engine) serve(ctx context.Context, st topology.Stream) error {
	b, err := st.Recv()
	if err != nil {
		return err
	}
	h, err := decodeHello(b)
	if err != nil {
		return err
	}
	l, term, w := e.welcome(&h)
	if err := st.Send(w.encode()); err != nil || l == nil {
		return err
	}
	l.converse(ctx, st, term)
	return nil
}

// welcome says whether a session with who says h may begin.
func (e *engine) welcome(h *hello) (l *link, term uint64, w welcome) {
	seat := e.roster().Seat(core.Site(h.site.Name))
	switch {
	case h.to != e.site:
		w.refusal = fmt.Sprintf("%s is of site %s, not %s", e.env.Self, e.site, h.to)
		return nil, 0, w
	case seat != nil && seat.Number == h.site.Number && !seat.Here():
		w.refusal = fmt.Sprintf("site %s is %v, by version %d of the roster at %s; to take part again it starts with empty directories, after `triad site add %s`", h.site.Name, seat.Standing, e.roster().Version, e.env.Self, h.site.Name)
		return nil, 0, w
	case seat == nil || seat.Number != h.site.Number:
		w.refusal = fmt.Sprintf("site %s is configured with another number, or not at all, at %s", h.site.Name, e.env.Self)
		return nil, 0, w
	}
	if l = e.link(core.Site(h.site.Name)); l == nil && e.leading.Load() != 0 {
		w.refusal = fmt.Sprintf("site %s is not linked with %s", h.site.Name, e.site)
		return nil, 0, w
	}
	if l != nil {
		term = l.leading()
	}
	if term == 0 {
		w.refusal = fmt.Sprintf("%s does not lead site %s", e.env.Self, e.site)
		if s := e.group.Status(); s.Leader != e.env.Self {
			w.leader = s.Leader
		}
		return nil, 0, w
	}
	return l, term, w
}

// session is one stream between the leaders of two sites.
type session struct {
	n      uint64
	stream topology.Stream
	wake   chan struct{}

	mu  sync.Mutex // a leaf
	out backlog
}

// begin makes st the link's session, unless this node leads another term by now. The
// session before it ends.
func (l *link) begin(st topology.Stream, term uint64) *session {
	l.mu.Lock()
	if l.term != term {
		l.mu.Unlock()
		return nil
	}
	was := l.session
	l.last++
	s := &session{n: l.last, stream: st, wake: make(chan struct{}, 1)}
	l.session, l.problem = s, ""
	l.mu.Unlock()
	if was != nil {
		_ = was.stream.Close()
	}
	return s
}

// converse exchanges messages over st until it ends.
func (l *link) converse(ctx context.Context, st topology.Stream, term uint64) {
	s := l.begin(st, term)
	if s == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { <-ctx.Done(); _ = st.Close() })
	wait.Go(func() { s.sendAll(ctx); cancel() })
	if l.dials() {
		l.tellTables(ctx, true) // before the first record
	}
	l.e.loop.call(func() { l.e.step(core.Event{Kind: core.EvLinkUp, Peer: l.peer, Session: s.n}) })
	err := l.hear(ctx, s)
	cancel()
	wait.Wait()
	l.e.loop.post(func() { l.e.step(core.Event{Kind: core.EvLinkDown, Peer: l.peer, Session: s.n}) })
	l.mu.Lock()
	if l.session == s {
		l.session, l.problem = nil, "the stream ended"
		if err != nil && !errors.Is(err, io.EOF) {
			l.problem = err.Error()
		}
	}
	l.mu.Unlock()
}

// hear gives what the peer sends to the core, one message at a time, while the log has
// room: who sends faster than this site commits is held back by the connection.
func (l *link) hear(ctx context.Context, s *session) error {
	for {
		b, err := s.stream.Recv()
		if err != nil {
			return err
		}
		m, err := core.DecodeMessage(slices.Clone(b))
		if err != nil {
			return err
		}
		full := false
		ok := l.e.loop.call(func() {
			l.e.step(core.Event{Kind: core.EvMessage, Peer: l.peer, Session: s.n, Message: m})
			full = l.e.full()
		})
		if ok && full {
			ok = l.wait(ctx)
		}
		if !ok {
			return topology.ErrClosed
		}
	}
}

// roomPause is how often a link looks whether the log has room again.
const roomPause = time.Millisecond

// wait returns once the log has room for more of other sites; false if ctx ends before.
func (l *link) wait(ctx context.Context) bool {
	t := time.NewTicker(roomPause)
	defer t.Stop()
	for full := true; full; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
		if !l.e.loop.call(func() { full = l.e.full() }) {
			return false
		}
	}
	return true
}

// full reports whether half of what may wait to be committed does: the rest is for this
// site's own writes.
func (e *engine) full() bool {
	c := e.reign.core
	return c != nil && 2*int(c.End()-c.Commit()) > e.o.Limits.Uncommitted
}

// send queues a message for the peer. Of two beats behind one another the newer stays.
func (l *link) send(n uint64, m *core.Message) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil || s.n != n {
		return
	}
	s.mu.Lock()
	s.out.add(m)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sendAll sends what is queued until the stream or ctx ends.
func (s *session) sendAll(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		out := s.out.take()
		s.mu.Unlock()
		for i := range out {
			if err := s.stream.Send(out[i].Encode()); err != nil {
				return
			}
		}
	}
}

// froze notes that a person has to look.
func (l *link) froze(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen = err.Error()
}

// stuck notes that what the peer lacks can not be given.
func (l *link) stuck(err error) {
	l.mu.Lock()
	was := l.problem
	l.problem = err.Error()
	l.mu.Unlock()
	if was != err.Error() {
		l.e.log.Error("a link does not go on", "peer", l.peer, "err", err)
	}
}

// hello is the first message over a stream: who opens it, and to whom.
//
//	array of five: format, site, number, to, term
type hello struct {
	site Site
	to   string
	term uint64
}

const (
	helloFormat   = 1
	nameBytesMax  = 63
	wordsBytesMax = 1 << 10
)

func (h hello) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(5)
	w.Uint(helloFormat)
	w.Str(h.site.Name)
	w.Uint(uint64(h.site.Number))
	w.Str(h.to)
	w.Uint(h.term)
	return w.Bytes()
}

func decodeHello(b []byte) (h hello, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(5)
	if f := r.Uint(); r.Err() == nil && f != helloFormat {
		return h, fmt.Errorf("a site's greeting has format %d, this version knows %d: %w", f, helloFormat, topology.ErrUnsupported)
	}
	h.site.Name, h.site.Number = r.StrMax(nameBytesMax), uint32(r.UintMax(1<<32-1))
	h.to, h.term = r.StrMax(nameBytesMax), r.Uint()
	if err := r.Done(); err != nil {
		return h, fmt.Errorf("a site's greeting: %w: %w", topology.ErrMalformed, err)
	}
	return h, nil
}

// welcome answers it: with a refusal, and who leads, if that is known; or with none.
//
//	array of three: format, refusal, leader
type welcome struct {
	refusal string
	leader  topology.NodeID
}

func (v welcome) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(helloFormat)
	w.Str(v.refusal[:min(len(v.refusal), wordsBytesMax)])
	w.Str(string(v.leader))
	return w.Bytes()
}

func decodeWelcome(b []byte) (v welcome, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(3)
	if f := r.Uint(); r.Err() == nil && f != helloFormat {
		return v, fmt.Errorf("a site's answer has format %d, this version knows %d: %w", f, helloFormat, topology.ErrUnsupported)
	}
	v.refusal, v.leader = r.StrMax(wordsBytesMax), topology.NodeID(r.StrMax(nameBytesMax))
	if err := r.Done(); err != nil {
		return v, fmt.Errorf("a site's answer: %w: %w", topology.ErrMalformed, err)
	}
	return v, nil
}
