package call

import (
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// MethodVerify has a node compare what it holds with others: VerifyAsked → Verification.
const MethodVerify = "client.verify"

// Limits of what is asked and answered about a comparison.
const (
	verifyTablesMax = 1 << 10
	verifyPeersMax  = 1 << 10
	comparedFields  = 6
	differFields    = 8

	// VerifyValueBytesMax is how much of a value an answer holds.
	VerifyValueBytesMax = 256
)

// VerifyAsked says what is to be compared: fields tables, from.
type VerifyAsked struct {
	Tables []string // none: all
	From   string   // the site whose cells replace those of the node that is asked, where they differ; none: nothing changes
}

// Encode returns the request's bytes.
func (a VerifyAsked) Encode() []byte {
	w := begin(2)
	w.Array(len(a.Tables))
	for _, t := range a.Tables {
		w.Str(t)
	}
	w.Str(a.From)
	return w.Bytes()
}

// DecodeVerifyAsked reads a request.
func DecodeVerifyAsked(b []byte) (a VerifyAsked, err error) {
	r, err := open(b, 2)
	if err != nil {
		return a, err
	}
	for n := r.ArrayMax(verifyTablesMax); n > 0 && r.Err() == nil; n-- {
		a.Tables = append(a.Tables, r.StrMax(TableBytesMax))
	}
	a.From = r.StrMax(nameBytesMax)
	return a, done(&r)
}

// Verification is what a comparison found: fields peers, differences.
type Verification struct {
	Peers       []topology.VerifiedPeer
	Differences []Difference // at most topology.DifferencesMax
}

// Difference is a cell that two nodes hold differently, though each has what the other's
// is made of.
type Difference struct {
	Peer     topology.NodeID
	Site     string
	Table    string // empty for Triad's own, which holds the definitions of tables
	Key      []byte
	Field    []byte  // of a value that has parts
	Mine     []Rival // what the node that was asked holds
	Theirs   []Rival // what its peer holds
	Repaired bool    // the site of the node that was asked goes on with theirs
}

// Encode returns the answer's bytes.
func (v *Verification) Encode() []byte {
	w := begin(2)
	w.Array(comparedFields * len(v.Peers))
	for _, p := range v.Peers {
		w.Str(string(p.Node))
		w.Str(p.Site)
		w.Uint(p.Cells)
		w.Uint(uint64(max(0, p.Differ)))
		w.Uint(uint64(max(0, p.Undecided)))
		w.Str(text(p.Problem))
	}
	w.Array(differFields * len(v.Differences))
	for i := range v.Differences {
		d := &v.Differences[i]
		w.Str(string(d.Peer))
		w.Str(d.Site)
		w.Str(d.Table)
		w.Bin(d.Key)
		w.Bin(d.Field)
		putRivals(w, d.Mine)
		putRivals(w, d.Theirs)
		w.Bool(d.Repaired)
	}
	return w.Bytes()
}

// DecodeVerification reads an answer.
func DecodeVerification(b []byte) (v Verification, err error) {
	r, err := open(b, 2)
	if err != nil {
		return v, err
	}
	n := r.ArrayMax(comparedFields * verifyPeersMax)
	if n%comparedFields != 0 {
		r.Fail("peers are not whole")
	}
	for n /= comparedFields; n > 0 && r.Err() == nil; n-- {
		v.Peers = append(v.Peers, topology.VerifiedPeer{
			Node: topology.NodeID(r.StrMax(nameBytesMax)), Site: r.StrMax(nameBytesMax), Cells: r.Uint(),
			Differ: int(r.UintMax(math.MaxInt32)), Undecided: int(r.UintMax(math.MaxInt32)), Problem: r.StrMax(textBytesMax),
		})
	}
	if n = r.ArrayMax(differFields * topology.DifferencesMax); n%differFields != 0 {
		r.Fail("differences are not whole")
	}
	for n /= differFields; n > 0 && r.Err() == nil; n-- {
		v.Differences = append(v.Differences, Difference{
			Peer: topology.NodeID(r.StrMax(nameBytesMax)), Site: r.StrMax(nameBytesMax), Table: r.StrMax(TableBytesMax),
			Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax), Mine: getRivals(&r), Theirs: getRivals(&r), Repaired: r.Bool(),
		})
	}
	return v, done(&r)
}
