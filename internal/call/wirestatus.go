package call

import (
	"strings"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

const (
	statusFields = 19
	peerFields   = 12
	warningsMax  = 64
)

// EncodeStatus returns a status' bytes: its fields in the order of
// topology.Status, the three of a lag one after another.
func EncodeStatus(s topology.Status) []byte {
	w := begin(statusFields)
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
	w.Array(len(warnings))
	for _, t := range warnings {
		w.Str(text(t))
	}
	return w.Bytes()
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
	r, err := open(b, statusFields)
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
	for n := r.ArrayMax(warningsMax); n > 0 && r.Err() == nil; n-- {
		s.Warnings = append(s.Warnings, r.StrMax(textBytesMax))
	}
	return s, done(&r)
}
