package multileader

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var update = flag.Bool("update", false, "add what the golden file lacks")

// forms are what stands in the store and on the wire.
func forms() map[string][]byte {
	us, eu := version.Origin{ID: 1, Incarnation: 7}, version.Origin{ID: 2, Incarnation: 1 << 30}
	p := place{own: us, lost: 3}
	p.LSN, p.Time, p.Term = 512, 1<<40, 9
	p.Marks = []core.Mark{{Origin: us, Seq: 300, Chain: 0xdeadbeef}, {Origin: eu, Seq: 1, Chain: 5}}
	won := record.Version{Dot: version.Dot{Origin: eu, Seq: 4}, Time: 2, Kind: record.KindBytes, Value: []byte("won")}
	gone := record.Version{Dot: version.Dot{Origin: us, Seq: 9}, Time: 1, Absent: true}
	c := loss{
		cell: record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}, by: won.Dot, kind: topology.UpdateDelete, resolver: "lww@1",
		stays: []record.Version{won}, lost: []record.Version{gone},
	}
	lossOld, _ := hex.DecodeString("960110c4016bc401669802ce4000000004020001c2c403776f6e98010709010000c3c400")
	told := telling{
		site: "us", leads: true, tables: []tableTold{{id: 16, resolver: "stock@2", digest: conflict.Digest{1, 2}, refused: "no"}},
		findings: []finding{{table: 16, in: inputs{3}, out: conflict.Digest{4}}},
	}
	in := arriving{Incoming: core.Incoming{Stage: core.StageComing, ID: 9, From: "eu", Begun: 4, Marks: p.Marks, Time: 1 << 40, Next: []byte("n"), Parts: 2}, cells: 7}
	in.seen, in.cursor = vectorOf(p.Marks), record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}
	roster := core.Founding([]core.Member{{Site: "us", Number: 1}, {Site: "eu", Number: 2}})
	roster.Seats[1].Standing, roster.Seats[1].Final, roster.Seats[1].Life, roster.Seats[1].Links = core.Evicted, vectorOf(p.Marks[1:]), 1<<30+1, []core.Site{"us"}
	council := core.Council{Version: 2, Promised: core.Ballot{Round: 3, Number: 1}, Accepted: core.Ballot{Round: 2, Number: 2}, Value: []byte("v")}
	less := in
	less.Without = []record.TableID{16, 1 << 24}
	return map[string][]byte{
		"arriving 2": less.encode(),
		"skip":       (&core.Skip{Sum: 0xdeadbeef, Tables: []record.TableID{16, 1 << 24}}).Encode(),
		"skipped":    skipped{records: 1 << 20, snapshots: 2}.encode(),

		"arriving": in.encode(),
		"roster":   roster.Encode(),
		"council":  council.Encode(),
		"place":    p.encode(),
		"loss":     lossOld,
		"loss 2":   c.encode(),
		"telling":  told.encode(),
		"question": (&question{after: version.Vector{{Origin: us, Seq: 300}}, form: formCells, most: 7, spans: []span{only(c.cell)}}).encode(),
		"answer": (&answer{
			at: version.Vector{{Origin: us, Seq: 301}}, sums: []total{{cells: 2, sum: core.Sum{Hi: 1 << 63, Lo: 5}}},
			holdings: []holding{{cell: c.cell, sum: core.Sum{Hi: 3, Lo: 4}, state: []byte("state")}}, more: true,
		}).encode(),
		"hello":   hello{site: Site{Name: "us", Number: 1}, to: "eu", term: 3}.encode(),
		"welcome": welcome{}.encode(),
		"refused": welcome{refusal: "it does not lead", leader: "eu2"}.encode(),
	}
}

func TestTheFormsStay(t *testing.T) {
	const path = "testdata/forms.golden"
	known := map[string]string{}
	if f, err := os.Open(path); err == nil {
		for s := bufio.NewScanner(f); s.Scan(); {
			at := strings.LastIndex(s.Text(), " ")
			known[s.Text()[:at]] = s.Text()[at+1:]
		}
		require.NoError(t, f.Close())
	}
	var text strings.Builder
	all := forms()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s %s\n", name, hex.EncodeToString(all[name]))
		if form, ok := known[name]; ok {
			require.Equal(t, form, hex.EncodeToString(all[name]), "%s: a form is changed under a new number, and its old one is read", name)
		} else {
			require.True(t, *update, "%s is not in %s; -update adds it", name, path)
		}
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o644))
	}
}

func TestFormsAreReadBackAndNothingElseIs(t *testing.T) {
	all := forms()
	read := map[string]func([]byte) error{
		"arriving": func(b []byte) error { _, err := decodeArriving(b); return err },
		"roster":   func(b []byte) error { _, err := core.DecodeRoster(b); return err },
		"council":  func(b []byte) error { _, err := core.DecodeCouncil(b); return err },
		"place": func(b []byte) error {
			p, err := decodePlace(b)
			if err == nil {
				require.Equal(t, b, p.encode())
			}
			return err
		},
		"loss": func(b []byte) error {
			_, err := decodeLoss(make([]byte, lossBytes), b)
			return err
		},
		"telling": func(b []byte) error {
			m, err := decodeTelling(b)
			if err == nil {
				require.Equal(t, b, m.encode())
			}
			return err
		},
		"question": func(b []byte) error { return reread(t, b, decodeQuestion, (*question).encode) },
		"answer":   func(b []byte) error { return reread(t, b, decodeAnswer, (*answer).encode) },
		"hello": func(b []byte) error {
			h, err := decodeHello(b)
			if err == nil {
				require.Equal(t, b, h.encode())
			}
			return err
		},
		"welcome": func(b []byte) error { _, err := decodeWelcome(b); return err },
		"refused": func(b []byte) error { _, err := decodeWelcome(b); return err },
	}
	read["loss 2"], read["arriving 2"] = read["loss"], read["arriving"]
	read["skip"] = func(b []byte) error {
		return reread(t, b, core.DecodeSkip, func(s **core.Skip) []byte { return (*s).Encode() })
	}
	read["skipped"] = func(b []byte) error {
		return reread(t, b, decodeSkipped, func(s *skipped) []byte { return s.encode() })
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, read[name](b))
			for n := range b {
				require.Error(t, read[name](b[:n]), "the first %d bytes", n)
			}
			require.ErrorIs(t, read[name](append(slices.Clone(b), 0)), topology.ErrMalformed)
			other := slices.Clone(b)
			other[1] = 9
			require.ErrorIs(t, read[name](other), topology.ErrUnsupported)
		})
	}
}

// reread decodes b and demands that it is what is encoded again.
func reread[T any](t testing.TB, b []byte, decode func([]byte) (T, error), encode func(*T) []byte) error {
	v, err := decode(b)
	if err == nil {
		require.Equal(t, b, encode(&v))
	}
	return err
}

// What other sites say, and what stands in the store, is read without harm whatever it is.
func FuzzForms(f *testing.F) {
	for _, b := range forms() {
		f.Add(b)
	}
	f.Add(spotAt{cell: record.Cell{Table: 16, Key: []byte("k"), Field: []byte("f")}, versions: 2, behind: true}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = reread(t, b, decodeQuestion, (*question).encode)
		_ = reread(t, b, decodeAnswer, (*answer).encode)
		_ = reread(t, b, decodePlace, (*place).encode)
		_ = reread(t, b, decodeTelling, (*telling).encode)
		_ = reread(t, b, decodeHello, func(h *hello) []byte { return h.encode() })
		_ = reread(t, b, decodeWelcome, func(v *welcome) []byte { return v.encode() })
		_ = reread(t, b, decodeArriving, (*arriving).encode)
		_ = reread(t, b, core.DecodeSkip, func(s **core.Skip) []byte { return (*s).Encode() })
		_ = reread(t, b, decodeSkipped, func(s *skipped) []byte { return s.encode() })
		_, _ = decodeLoss(make([]byte, lossBytes), b)
		_, _ = decodeSpot(b)
		_, _ = core.DecodeMessage(b)
		_ = decodeQuarantine(&record.Version{Value: b})
	})
}
