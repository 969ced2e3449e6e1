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
	scrubFields  = 5 // behind them, in format 2
	peerFields   = 12
	warningsMax  = 64
)

// EncodeStatus returns a status' bytes: its fields in the order of
// topology.Status, the three of a lag one after another, and in format 2 those of
// a scrub. Without one it is of format 1, which older clients read.
func EncodeStatus(s topology.Status) []byte {
	w := begin(statusFields)
	scrubbed := s.Scrub.Passes > 0 || len(s.Scrub.Damage) > 0
	if scrubbed {
		w = beginAs(formatMore, statusFields+scrubFields)
	}
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
	if scrubbed {
		w.Uint(s.Scrub.Passes)
		putTime(w, s.Scrub.Ended)
		w.Int(int64(s.Scrub.Took))
		w.Uint(s.Scrub.Bytes)
		putTexts(w, s.Scrub.Damage[:min(len(s.Scrub.Damage), warningsMax)])
	}
	return w.Bytes()
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
	r, scrubbed, err := openStatus(b)
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
	if scrubbed {
		s.Scrub = topology.Scrub{Passes: r.Uint(), Ended: getTime(&r), Took: time.Duration(r.Int()), Bytes: r.Uint(), Damage: getTexts(&r)}
		if s.Scrub.Passes == 0 && len(s.Scrub.Damage) == 0 {
			r.Fail("format 2 without a scrub")
		}
	}
	return s, done(&r)
}

// openStatus opens a status of either format.
func openStatus(b []byte) (r pack.Reader, scrubbed bool, err error) {
	r, f, err := openTo(formatMore, b, statusFields)
	if f == formatMore {
		r, _, err = openTo(formatMore, b, statusFields+scrubFields)
	}
	return r, f == formatMore, err
}
