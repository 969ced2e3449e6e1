package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// methodTables is how the leaders of two linked sites tell one another what settles
// their tables, and what came of it: once when a session begins, and then as often as
// there is news. The site that opens the streams of the link asks; both tell.
const methodTables = "site.tables"

// exchangeEvery is the pause between two exchanges.
const exchangeEvery = 250 * time.Millisecond

// tellings is what two sites have told one another of their tables.
type tellings struct {
	mu      sync.Mutex // a leaf
	session uint64     // in which
	sent    uint64     // findings that the peer was told
	said    string     // what this site said of its tables last
	asked   time.Time  // when the peer was asked last
	differs []string   // what is not the same at the peer, for people
	refused map[record.TableID]error
}

// tellAnyway is how often a peer is asked though there is nothing to tell: it may have
// something.
const tellAnyway = 2 * time.Second

func (x *tellings) stale() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Since(x.asked) > tellAnyway
}

// teller tells other sites of this one's tables.
type teller struct {
	e        *engine
	refusals atomic.Pointer[map[record.TableID]error] // of tables that are settled otherwise elsewhere
}

// telling is one such message: an array of five.
//
//	0  format    uint, 1
//	1  site      str, whose it is
//	2  leads     bool: it is of who leads that site; else nothing follows that counts
//	3  tables    array of 4n: id, resolver, digest (16 bytes), why it is refused there
//	4  findings  array of 3n: table, inputs (16 bytes), result (16 bytes)
type telling struct {
	site     string
	leads    bool
	tables   []tableTold
	findings []finding
}

type tableTold struct {
	id       record.TableID
	resolver string
	digest   conflict.Digest
	refused  string
}

const (
	tellingFormat  = 1
	tellingsMax    = 1 << 16 // tables
	findingsMax    = 1 << 10
	resolverBytes  = 1 << 10
	refusedBytes   = 1 << 10
	tellingTimeout = 2 * time.Second
)

func (m *telling) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(5)
	w.Uint(tellingFormat)
	w.Str(m.site)
	w.Bool(m.leads)
	w.Array(4 * len(m.tables))
	for i := range m.tables {
		t := &m.tables[i]
		w.Uint(uint64(t.id))
		w.Str(t.resolver[:min(len(t.resolver), resolverBytes)])
		w.Bin(t.digest[:])
		w.Str(t.refused[:min(len(t.refused), refusedBytes)])
	}
	w.Array(3 * len(m.findings))
	for i := range m.findings {
		f := &m.findings[i]
		w.Uint(uint64(f.table))
		w.Bin(f.in[:])
		w.Bin(f.out[:])
	}
	return w.Bytes()
}

func decodeTelling(b []byte) (m telling, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(5)
	if f := r.Uint(); r.Err() == nil && f != tellingFormat {
		return m, fmt.Errorf("what a site tells of its tables has format %d, this version knows %d: %w", f, tellingFormat, topology.ErrUnsupported)
	}
	m.site, m.leads = r.StrMax(nameBytesMax), r.Bool()
	n := r.ArrayMax(4 * tellingsMax)
	for ; n >= 4 && r.Err() == nil; n -= 4 {
		t := tableTold{id: record.TableID(r.UintMax(1<<32 - 1)), resolver: r.StrMax(resolverBytes)}
		getDigest(&r, t.digest[:])
		t.refused = r.StrMax(refusedBytes)
		m.tables = append(m.tables, t)
	}
	left := n
	n = r.ArrayMax(3 * findingsMax)
	for ; n >= 3 && r.Err() == nil; n -= 3 {
		f := finding{table: record.TableID(r.UintMax(1<<32 - 1)), site: m.site}
		getDigest(&r, f.in[:])
		getDigest(&r, f.out[:])
		m.findings = append(m.findings, f)
	}
	if left != 0 || n != 0 {
		r.Fail("it is not whole")
	}
	if err := r.Done(); err != nil {
		return telling{}, fmt.Errorf("what a site tells of its tables: %w: %w", topology.ErrMalformed, err)
	}
	return m, nil
}

func getDigest(r *pack.Reader, into []byte) {
	b := r.BinMax(len(into))
	if r.Err() == nil && len(b) != len(into) {
		r.Fail("half a digest")
	}
	copy(into, b)
}

// tell is what this node says of its tables and findings to a peer that has heard the
// first sent of them.
func (tl *teller) tell(sent uint64) (m telling, upTo uint64) {
	e := tl.e
	m = telling{site: e.site, leads: e.stats.leading()}
	if !m.leads {
		return m, sent
	}
	set := e.machine.tables.known.Load()
	for id, t := range set.byID {
		x := tableTold{id: id, resolver: t.named(), digest: t.digest}
		if notHeld(e, id) != nil {
			x.resolver = notHeldTold
		} else if t.refusal != nil {
			x.refused = t.refusal.Error()
		}
		m.tables = append(m.tables, x)
	}
	slices.SortFunc(m.tables, func(a, b tableTold) int { return int(int64(a.id) - int64(b.id)) })
	j := e.judge
	j.mu.Lock()
	defer j.mu.Unlock()
	own := &j.evidence.own
	m.findings = own.since(sent, findingsMax)
	upTo = max(sent, own.count-min(own.count, uint64(len(own.order)))) + uint64(len(m.findings))
	m.findings = slices.Clone(m.findings)
	return m, min(upTo, own.count)
}

// run asks the leaders of linked sites, until ctx ends.
func (tl *teller) run(ctx context.Context) error {
	t := time.NewTicker(exchangeEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		for _, l := range tl.e.links.list() {
			if l.dials() {
				l.tellTables(ctx, false)
			}
		}
	}
}

// tellTables exchanges what there is to tell over a link: all of it if the session is
// new, else what is news.
func (l *link) tellTables(ctx context.Context, always bool) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s == nil {
		return
	}
	x := &l.tables
	x.mu.Lock()
	if x.session != s.n {
		x.session, x.sent, x.said, always = s.n, 0, "", true
	}
	sent, said := x.sent, x.said
	x.mu.Unlock()
	m, upTo := l.e.judge.teller.tell(sent)
	bare := m
	bare.findings = nil
	now := string(bare.encode())
	if !m.leads || !always && len(m.findings) == 0 && now == said && !x.stale() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellingTimeout)
	defer cancel()
	b, err := l.e.env.Transport.Call(ctx, s.stream.Peer().ID, methodTables, m.encode())
	if err == nil {
		var theirs telling
		if theirs, err = decodeTelling(b); err == nil && theirs.leads && theirs.site == string(l.peer) {
			l.heard(&theirs)
		}
	}
	if err != nil && !errors.Is(err, topology.ErrUnsupported) {
		return // it is told again
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session == s.n {
		x.sent, x.said, x.asked = upTo, now, time.Now()
	}
}

// answer answers the leader of a linked site.
func (tl *teller) answer(_ context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	e := tl.e
	theirs, err := decodeTelling(req)
	if err != nil {
		return nil, e.errorOf("tables", topology.NotApplied, err)
	}
	l := e.links.find(core.Site(theirs.site))
	if l == nil {
		return nil, e.errorOf("tables", topology.NotApplied, fmt.Errorf("%w: site %s is not linked with %s", topology.ErrUnsupported, theirs.site, e.site))
	}
	x := &l.tables
	x.mu.Lock()
	sent := x.sent
	x.mu.Unlock()
	m, upTo := tl.tell(sent)
	if m.leads && theirs.leads {
		l.heard(&theirs)
		x.mu.Lock()
		x.sent = upTo
		x.mu.Unlock()
	}
	return m.encode(), nil
}

// notHeldTold is told for the resolver of a table that a site does not hold.
const notHeldTold = "-"

// heldOtherwise says that a peer holds a table, or does not, other than this node's
// configuration has it; empty if that is as it should be.
func (l *link) heldOtherwise(t *table, holds bool) string {
	switch should := l.e.o.filters.Holds(l.peer, t.id); {
	case holds == should:
		return ""
	case should:
		return fmt.Sprintf("table %s is not held there, and by this site's configuration it is: what is written to it does not come from there; make the configurations alike", t.name)
	}
	return fmt.Sprintf("table %s is held there, and by this site's configuration it is not: what is written to it is not sent there; make the configurations alike", t.name)
}

// heard compares what a peer says of its tables with what holds here.
func (l *link) heard(m *telling) {
	set := l.e.machine.tables.known.Load()
	var differs []string
	refused := map[record.TableID]error{}
	for i := range m.tables {
		theirs := &m.tables[i]
		own := set.byID[theirs.id]
		if own != nil {
			if why := l.heldOtherwise(own, theirs.resolver != notHeldTold); why != "" {
				differs = append(differs, why)
			}
		}
		if own == nil || own.shows == nil || theirs.resolver == notHeldTold || notHeld(l.e, theirs.id) != nil {
			continue // it is on its way, or this node refuses it by itself
		}
		switch {
		case theirs.refused != "":
			differs = append(differs, fmt.Sprintf("table %s is refused there: %s", own.name, theirs.refused))
		case theirs.resolver != own.named():
			differs = append(differs, fmt.Sprintf("table %s is settled by %s there and by %s here, until both have one definition", own.name, theirs.resolver, own.named()))
		case theirs.digest != own.digest:
			err := fmt.Errorf("%w: table %s: %s does something else in site %s (%v) than here (%v): run one version at every site", topology.ErrUnsupported, own.name, own.named(), l.peer, theirs.digest, own.digest)
			refused[theirs.id] = err
			differs = append(differs, err.Error())
		}
	}
	l.e.judge.hear(m.findings)
	x := &l.tables
	x.mu.Lock()
	was := x.differs
	x.differs, x.refused = differs, refused
	x.mu.Unlock()
	if !slices.Equal(was, differs) {
		for _, d := range differs {
			l.e.log.Error("a table is not the same at the other end of a link", "peer", l.peer, "what", d)
		}
	}
	l.e.judge.teller.publish()
}

// publish notes which tables are settled otherwise at the end of some link: this
// site refuses them until that is over.
func (tl *teller) publish() {
	all := map[record.TableID]error{}
	for _, l := range tl.e.links.list() {
		l.tables.mu.Lock()
		for id, err := range l.tables.refused {
			all[id] = err
		}
		l.tables.mu.Unlock()
	}
	tl.refusals.Store(&all)
}

// refusalOf is why this site takes no reads and writes of a table, nil if it does.
func (tl *teller) refusalOf(t *table) error {
	if t.refusal != nil {
		return t.refusal
	}
	if all := tl.refusals.Load(); all != nil {
		return (*all)[t.id]
	}
	return nil
}

// problems are what is not the same at the peer.
func (l *link) problems() []string {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	return l.tables.differs
}
