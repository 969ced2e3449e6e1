package call

import (
	"fmt"
	"strings"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

const (
	statusFields = 19
	scrubFields  = 5 // behind them, from format 2 on
	standFields  = 6 // behind those, from format 3 on
	sitesFields  = 2 // behind those, from format 4 on
	changeFields = 3 // behind those, from format 5 on
	siteFields   = 14
	sitesMax     = 64
	peerFields   = 12
	leaseFields  = 1 // behind those, from format 6 on
	fedFields    = 2 // behind those, from format 7 on
	formatStands = 3 // of a status that says how the node stands
	formatSites  = 4 // and how other sites do
	formatChange = 5 // and that a change of the members is under way
	formatLeased = 6 // and that it has a lease
	formatFed    = 7 // and who is fed by another than the leader
	formatSeats  = 8 // and what each site is in its cluster
	seatsFields  = 1 // behind those, from format 8 on
	formatShares = 9 // and what each site does not hold, and which take no writes
	sharesFields = 1 // behind those, in format 9
	warningsMax  = 64
)

// EncodeStatus returns a status' bytes: its fields in the order of
// topology.Status, the three of a lag one after another; in format 2 those of a
// scrub follow, in format 3 those of its standing and what was sent to each
// peer, in format 4 those of sites, in format 5 the change of the members, in
// format 6 its lease, in format 7 its upstream and that of each peer, in format 8 what
// sites are, and in format 9 what they hold. What says nothing of these is of an earlier
// format, which older clients read.
func EncodeStatus(s topology.Status) []byte {
	f := formatOf(&s)
	w := beginAs(f, statusWidth(f))
	w.Str(string(s.Node))
	w.Str(s.Cluster)
	w.Str(s.Kind)
	w.Str(string(s.Role))
	w.Str(string(s.Leader))
	w.Uint(s.Term)
	w.Str(text(s.Policy))
	putTime(w, s.Since)
	w.Uint(uint64(s.First))
	w.Uint(uint64(s.End))
	w.Uint(uint64(s.Flushed))
	w.Uint(uint64(s.Commit))
	w.Uint(uint64(s.Applied))
	w.Array(3)
	putLag(w, s.Lag)
	w.Int(int64(s.Delay))
	peers := s.Peers[:min(len(s.Peers), nodesMax)]
	w.Array(peerFields * len(peers))
	for i := range peers {
		putPeer(w, &peers[i])
	}
	w.Uint(s.Rewound)
	w.Str(text(s.Failure))
	warnings := s.Warnings[:min(len(s.Warnings), warningsMax)]
	putTexts(w, warnings)
	putRest(w, f, &s, peers)
	return w.Bytes()
}

// putRest puts what formats after the first one say.
func putRest(w *pack.Writer, f uint64, s *topology.Status, peers []topology.PeerStatus) {
	if f >= formatMore {
		w.Uint(s.Scrub.Passes)
		putTime(w, s.Scrub.Ended)
		w.Int(int64(s.Scrub.Took))
		w.Uint(s.Scrub.Bytes)
		putTexts(w, s.Scrub.Damage[:min(len(s.Scrub.Damage), warningsMax)])
	}
	if f >= formatStands {
		putStanding(w, s, peers)
	}
	if f >= formatSites {
		w.Str(s.Site)
		sites := s.Sites[:min(len(s.Sites), sitesMax)]
		w.Array(siteFields * len(sites))
		for i := range sites {
			putSite(w, &sites[i])
		}
	}
	if f >= formatChange {
		w.Uint(uint64(s.Change.Op))
		w.Str(string(s.Change.Node))
		w.Str(text(s.Change.Waits))
	}
	if f >= formatLeased {
		w.Int(int64(s.Lease))
	}
	if f >= formatFed {
		w.Str(string(s.Upstream))
		w.Array(len(peers))
		for i := range peers {
			w.Str(string(peers[i].Upstream))
		}
	}
	if f >= formatSeats {
		putSeats(w, s.Sites[:min(len(s.Sites), sitesMax)])
	}
	if f >= formatShares {
		putShares(w, s.Sites[:min(len(s.Sites), sitesMax)])
	}
}

func putStanding(w *pack.Writer, s *topology.Status, peers []topology.PeerStatus) {
	w.Bool(s.Sync)
	w.Int(int64(s.Stale))
	putTime(w, s.Reached)
	putTexts(w, s.Undefined[:min(len(s.Undefined), warningsMax)])
	w.Bool(s.Paused)
	w.Array(len(peers))
	for i := range peers {
		w.Uint(uint64(peers[i].Sent))
	}
}

func putSite(w *pack.Writer, s *topology.SiteStatus) {
	w.Str(s.Site)
	w.Uint(uint64(s.Number))
	w.Bool(s.Own)
	w.Str(s.State)
	w.Str(string(s.Peer))
	w.Uint(s.Applied)
	putLag(w, s.Behind)
	putLag(w, s.Ahead)
	putTime(w, s.Said)
	w.Str(text(s.Problem))
}

func getSites(r *pack.Reader) (sites []topology.SiteStatus) {
	n := r.ArrayMax(siteFields * sitesMax)
	if n%siteFields != 0 {
		r.Fail("sites are not whole")
	}
	for n /= siteFields; n > 0 && r.Err() == nil; n-- {
		sites = append(sites, topology.SiteStatus{
			Site: r.StrMax(nameBytesMax), Number: uint32(r.UintMax(1<<32 - 1)), Own: r.Bool(), State: r.StrMax(nameBytesMax),
			Peer: topology.NodeID(r.StrMax(nameBytesMax)), Applied: r.Uint(), Behind: getLag(r), Ahead: getLag(r), Said: getTime(r), Problem: r.StrMax(textBytesMax),
		})
	}
	return sites
}

// formatOf is the earliest format that says all of s.
func formatOf(s *topology.Status) uint64 {
	stands := s.Sync || s.Stale != 0 || !s.Reached.IsZero() || len(s.Undefined) > 0 || s.Paused
	for i := range s.Peers {
		stands = stands || s.Peers[i].Sent > 0
	}
	fed := s.Upstream != ""
	for i := range s.Peers {
		fed = fed || s.Peers[i].Upstream != ""
	}
	switch {
	case shared(s):
		return formatShares
	case seated(s):
		return formatSeats
	case fed:
		return formatFed
	case s.Lease != 0:
		return formatLeased
	case s.Change != topology.MemberChange{}:
		return formatChange
	case s.Site != "" || len(s.Sites) > 0:
		return formatSites
	case stands:
		return formatStands
	case s.Scrub.Passes > 0 || len(s.Scrub.Damage) > 0:
		return formatMore
	}
	return format
}

func putTexts(w *pack.Writer, texts []string) {
	w.Array(len(texts))
	for _, t := range texts {
		w.Str(text(t))
	}
}

func getTexts(r *pack.Reader) (texts []string) {
	for n := r.ArrayMax(warningsMax); n > 0 && r.Err() == nil; n-- {
		texts = append(texts, r.StrMax(textBytesMax))
	}
	return texts
}

// text cuts a text for people to what may travel.
func text(s string) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) > textBytesMax {
		s = strings.ToValidUTF8(s[:textBytesMax], "")
	}
	return s
}

func putLag(w *pack.Writer, l topology.Lag) {
	w.Uint(l.Records)
	w.Uint(l.Bytes)
	w.Int(int64(l.Time))
}

func getLag(r *pack.Reader) topology.Lag {
	return topology.Lag{Records: r.Uint(), Bytes: r.Uint(), Time: time.Duration(r.Int())}
}

func putPeer(w *pack.Writer, p *topology.PeerStatus) {
	w.Str(string(p.Node))
	w.Str(text(p.Addr))
	w.Str(p.State)
	w.Bool(p.Sync)
	w.Uint(uint64(p.Written))
	w.Uint(uint64(p.Flushed))
	w.Uint(uint64(p.Applied))
	putLag(w, p.Lag)
	putTime(w, p.Contact)
	w.Str(text(p.Problem))
}

func getPeer(r *pack.Reader) topology.PeerStatus {
	return topology.PeerStatus{
		Node: topology.NodeID(r.StrMax(nameBytesMax)), Addr: r.StrMax(textBytesMax), State: r.StrMax(nameBytesMax), Sync: r.Bool(),
		Written: record.LSN(r.Uint()), Flushed: record.LSN(r.Uint()), Applied: record.LSN(r.Uint()),
		Lag: getLag(r), Contact: getTime(r), Problem: r.StrMax(textBytesMax),
	}
}

// DecodeStatus reads a status.
func DecodeStatus(b []byte) (topology.Status, error) {
	r, f, err := openStatus(b)
	if err != nil {
		return topology.Status{}, err
	}
	s := topology.Status{
		Node: topology.NodeID(r.StrMax(nameBytesMax)), Cluster: r.StrMax(nameBytesMax), Kind: r.StrMax(nameBytesMax),
		Role: topology.Role(r.StrMax(nameBytesMax)), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Term: r.Uint(),
		Policy: r.StrMax(textBytesMax), Since: getTime(&r),
		First: record.LSN(r.Uint()), End: record.LSN(r.Uint()), Flushed: record.LSN(r.Uint()),
		Commit: record.LSN(r.Uint()), Applied: record.LSN(r.Uint()),
	}
	r.ArrayOf(3)
	s.Lag, s.Delay = getLag(&r), time.Duration(r.Int())
	n := r.ArrayMax(peerFields * nodesMax)
	if n%peerFields != 0 {
		r.Fail("peers are not whole")
	}
	for n /= peerFields; n > 0 && r.Err() == nil; n-- {
		s.Peers = append(s.Peers, getPeer(&r))
	}
	s.Rewound = r.Uint()
	s.Failure = r.StrMax(textBytesMax)
	s.Warnings = getTexts(&r)
	if f >= formatMore {
		s.Scrub = topology.Scrub{Passes: r.Uint(), Ended: getTime(&r), Took: time.Duration(r.Int()), Bytes: r.Uint(), Damage: getTexts(&r)}
	}
	if f >= formatStands {
		getStanding(&r, &s)
	}
	if f >= formatSites {
		s.Site, s.Sites = r.StrMax(nameBytesMax), getSites(&r)
	}
	if f >= formatChange {
		s.Change = topology.MemberChange{Op: topology.MemberOp(r.UintMax(uint64(topology.Removing))), Node: topology.NodeID(r.StrMax(nameBytesMax)), Waits: r.StrMax(textBytesMax)}
	}
	if f >= formatLeased {
		s.Lease = time.Duration(r.Int())
	}
	if f >= formatFed {
		getUpstreams(&r, &s)
	}
	if f >= formatSeats {
		getSeats(&r, s.Sites)
	}
	if f >= formatShares {
		getShares(&r, s.Sites)
	}
	if r.Err() == nil && formatOf(&s) != f {
		r.Fail(fmt.Sprintf("format %d says nothing that format %d could not", f, formatOf(&s)))
	}
	return s, done(&r)
}

func getStanding(r *pack.Reader, s *topology.Status) {
	s.Sync, s.Stale, s.Reached = r.Bool(), time.Duration(r.Int()), getTime(r)
	s.Undefined, s.Paused = getTexts(r), r.Bool()
	if n := r.ArrayMax(nodesMax); n != len(s.Peers) {
		r.Fail("it is not said of every peer what was sent to it")
	}
	for i := range s.Peers {
		s.Peers[i].Sent = record.LSN(r.Uint())
	}
}

func getUpstreams(r *pack.Reader, s *topology.Status) {
	s.Upstream = topology.NodeID(r.StrMax(nameBytesMax))
	if n := r.ArrayMax(nodesMax); n != len(s.Peers) {
		r.Fail("it is not said of every peer who feeds it")
	}
	for i := range s.Peers {
		s.Peers[i].Upstream = topology.NodeID(r.StrMax(nameBytesMax))
	}
}

// openStatus opens a status of any format.
func openStatus(b []byte) (r pack.Reader, f uint64, err error) {
	r, f, err = openTo(formatShares, b, statusFields)
	if err == nil && f > format && f <= formatShares {
		r, _, err = openTo(f, b, statusWidth(f))
	}
	return r, f, err
}

// statusWidth is how many fields a status of a format has.
func statusWidth(f uint64) int {
	n := statusFields
	for i, more := range []int{scrubFields, standFields, sitesFields, changeFields, leaseFields, fedFields, seatsFields, sharesFields} {
		if f >= formatMore+uint64(i) {
			n += more
		}
	}
	return n
}
