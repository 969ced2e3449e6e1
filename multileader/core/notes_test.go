package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/version"
)

// What stands in the notes and marks of a site's log, and what sites ask one another of
// their roster, is read without harm whatever it is, and has one encoding.
func FuzzNotes(f *testing.F) {
	o := version.Origin{ID: 1, Incarnation: 2}
	f.Add((&Cut{Has: version.Vector{{Origin: o, Seq: 3}}, Members: []uint32{1, 2}, Dead: []version.Origin{o}}).encode())
	f.Add((&Repair{From: 1, Expect: Sum{Hi: 1}, State: []byte("s")}).encode())
	f.Add((&step{stage: StageComing, id: 7, from: "eu", marks: []Mark{{Origin: o, Seq: 3, Chain: 4}}, at: []byte("a"), whole: true}).encode())
	f.Add((&Ask{Kind: AskPrepare, Version: 2, Value: []byte("v")}).Encode())
	f.Add((&Reply{OK: true}).Encode())
	f.Add((&Council{}).encode())
	f.Add((&Roster{Version: 1}).Encode())
	same := func(t *testing.T, b []byte, err error, encode func() []byte) {
		if err == nil {
			require.Equal(t, b, encode())
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCut(b)
		same(t, b, err, func() []byte { return c.encode() })
		p, err := decodeRepair(b)
		same(t, b, err, func() []byte { return p.encode() })
		s, err := decodeStep(b)
		same(t, b, err, func() []byte { return s.encode() })
		a, err := DecodeAsk(b)
		same(t, b, err, func() []byte { return a.Encode() })
		r, err := DecodeReply(b)
		same(t, b, err, func() []byte { return r.Encode() })
		k, err := DecodeCouncil(b)
		same(t, b, err, func() []byte { return k.Encode() })
		x, err := DecodeRoster(b)
		same(t, b, err, func() []byte { return x.Encode() })
	})
}
