package conflict_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
)

func longest(_ []byte, in []record.Version) (conflict.Fold, error) {
	var out conflict.Fold
	for _, v := range in {
		if len(v.Value) > len(out.Value) {
			out.Value = v.Value
		}
	}
	return out, nil
}

// Digests are compared by nodes of different builds: they change only when a resolver
// does, and then with its version.
func TestDigestsAreStable(t *testing.T) {
	g, err := conflict.NewRegistry(conflict.SitePriority(2, 1), conflict.Func("longest", 3, longest))
	require.NoError(t, err)
	var out strings.Builder
	for _, e := range g.Entries() {
		out.WriteString(e.ID.String() + " " + e.Digest.String() + "\n")
	}
	require.Equal(t, strings.TrimLeft(digests, "\n"), out.String())
}

const digests = `
crdt@1 03642e1e2f68821a938cc42b5fa2d44b
fields@1 e9e3a17cccea94f485d1e29bd6fcaea0
first-writer@1 7c29fa1ab87c6edf7a579cfbad4a6059
longest@3 a72416b8c209bcf7b9c10fa1e32a8755
lww@1 9d4fa32ee554a0ae3ee5e90bdfe0160a
siblings@1 cff76ef9f03132ef0b13cfec263071c2
site-priority@1(2,1) 741a6fd31c56f4f06375b94948768b4c
`

func TestARegistryFindsWhatTablesName(t *testing.T) {
	old, now := conflict.Func("longest", 1, longest), conflict.Func("longest", 2, longest)
	g, err := conflict.NewRegistry(now, old)
	require.NoError(t, err)
	for named, want := range map[string]conflict.ID{
		"lww": {Name: "lww", Version: 1}, "lww@1": {Name: "lww", Version: 1}, "crdt": {Name: "crdt", Version: 1},
		"longest": now.ID(), "longest@1": old.ID(), "site-priority(3, 1)": {Name: "site-priority", Version: 1, Params: "3,1"},
		"site-priority@1(3,1)": {Name: "site-priority", Version: 1, Params: "3,1"},
	} {
		r, err := g.Find(named)
		require.NoError(t, err, named)
		require.Equal(t, want, r.ID(), named)
		again, err := g.Find(r.ID().String())
		require.NoError(t, err)
		require.Equal(t, want, again.ID())
	}
	for _, named := range []string{"", "lwww", "lww@2", "longest@3", "site-priority", "site-priority()", "site-priority(1,1)", "site-priority(us)", "site-priority@2(1)", "site-priority(1", "lww)", "lww("} {
		_, err := g.Find(named)
		require.ErrorIs(t, err, conflict.ErrResolver, named)
	}
	_, err = g.Find("longst")
	require.ErrorContains(t, err, "longest@2")
}

func TestARegistryRefusesWhatCanNotBeToldApart(t *testing.T) {
	for name, rs := range map[string][]conflict.Resolver{
		"one twice":  {conflict.Func("x", 1, longest), conflict.Func("x", 1, longest)},
		"a built-in": {conflict.LWW()},
		"no name":    {conflict.Func("", 1, longest)},
		"a bad name": {conflict.Func("My Resolver", 1, longest)},
		"no version": {conflict.Func("x", 0, longest)},
	} {
		_, err := conflict.NewRegistry(rs...)
		require.ErrorIs(t, err, conflict.ErrResolver, name)
	}
}

// The same name and version, and another function: the link refuses the table.
func TestAPeerWithAnotherResolverIsRefused(t *testing.T) {
	g, err := conflict.NewRegistry()
	require.NoError(t, err)
	mine := conflict.Func("longest", 1, longest)
	entry := func(r conflict.Resolver) conflict.Entry {
		return conflict.Entry{ID: r.ID(), Digest: conflict.DigestOf(r)}
	}
	require.NoError(t, g.Check(mine, entry(conflict.Func("longest", 1, longest))))

	shortest := func(k []byte, in []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: in[0].Value[:1]}, nil
	}
	err = g.Check(mine, entry(conflict.Func("longest", 1, shortest)))
	require.ErrorIs(t, err, conflict.ErrResolver)
	require.ErrorContains(t, err, "something else here")
	require.ErrorContains(t, g.Check(mine, entry(conflict.Func("longest", 2, longest))), "one resolver")
	require.Error(t, g.Check(conflict.SitePriority(1, 2), entry(conflict.SitePriority(2, 1))))

	probe := []record.Version{write(1, 1), write(2, 2)}
	require.NotEqual(t, conflict.DigestOf(mine), conflict.DigestOf(conflict.Func("longest", 1, longest, probe)), "its own probes are asked about too")
}

func TestAResolverThatFailsGivesWayToTheLastWriter(t *testing.T) {
	kept := []record.Version{write(1, 1, 5), write(2, 1, 9), write(3, 1, 7)}
	for name, fold := range map[string]func([]byte, []record.Version) (conflict.Fold, error){
		"error": func([]byte, []record.Version) (conflict.Fold, error) { return conflict.Fold{}, errors.New("no") },
		"panic": func([]byte, []record.Version) (conflict.Fold, error) { panic("no") },
		"a value too long": func([]byte, []record.Version) (conflict.Fold, error) {
			return conflict.Fold{Value: make([]byte, record.ValueBytesMax+1)}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := conflict.Func("bad", 7, fold).Settle(record.Cell{Key: []byte("k")}, kept)
			require.ErrorIs(t, s.Fault, conflict.ErrResolver)
			require.ErrorContains(t, s.Fault, "bad of version 7")
			require.Equal(t, "2:1", string(s.Shown[0].Bytes))
			require.Equal(t, text(kept), text(s.Stays), "the inputs stay for when it is mended")
			require.Equal(t, "1.1:1 3.1:1", text(s.Lost))
		})
	}
}

func TestACustomResolverCanNotChangeWhatIsHeld(t *testing.T) {
	kept := []record.Version{write(1, 1), write(2, 1)}
	s := conflict.Func("rude", 1, func(key []byte, in []record.Version) (conflict.Fold, error) {
		in[0].Value[0], key[0] = 'X', 'X'
		in[1] = record.Version{}
		return conflict.Fold{Absent: true}, nil
	}).Settle(record.Cell{Key: []byte("k")}, kept)
	require.Equal(t, []record.Version{write(1, 1), write(2, 1)}, kept)
	require.Empty(t, s.Shown)
	require.NoError(t, s.Fault)
}

func TestAFoldedValueExpiresWithTheLastOfItsInputs(t *testing.T) {
	a, b := write(1, 1, 3), write(2, 1, 4)
	a.Expires, b.Expires = 100, 200
	r := conflict.Func("longest", 1, longest)
	require.EqualValues(t, 200, r.Settle(record.Cell{}, []record.Version{a, b}).Shown[0].Expires)
	a.Expires = 0
	require.Zero(t, r.Settle(record.Cell{}, []record.Version{a, b}).Shown[0].Expires, "one of them never does")
	require.EqualValues(t, 4, r.Settle(record.Cell{}, []record.Version{a, b}).Shown[0].Time)
}

func TestATypedResolverRefusesHostileValues(t *testing.T) {
	r := conflict.Typed("list", 1, func(_ []byte, in []conflict.Sibling[[]int]) ([]int, bool, error) { return nil, true, nil })
	bad := write(2, 1)
	bad.Value = []byte{0xdd, 0xff, 0xff, 0xff, 0xff}
	s := r.Settle(record.Cell{Key: []byte("k")}, []record.Version{write(1, 1), bad})
	require.ErrorIs(t, s.Fault, conflict.ErrResolver)
}

func TestEvidenceTellsInputsAndResultsApart(t *testing.T) {
	kept := []record.Version{write(1, 1, 5), write(2, 1, 9)}
	last, first := conflict.LWW().Settle(record.Cell{}, kept), conflict.FirstWriter().Settle(record.Cell{}, kept)
	a, b := conflict.EvidenceOf(kept, last), conflict.EvidenceOf(kept, first)
	require.Equal(t, a.Inputs, b.Inputs)
	require.NotEqual(t, a.Result, b.Result)
	require.Equal(t, a, conflict.EvidenceOf(kept, conflict.LWW().Settle(record.Cell{}, kept)))
}

func TestContextCoversExactlyWhatWasRead(t *testing.T) {
	ctx, latest := conflict.ContextOf([]record.Version{write(1, 3, 5), write(2, 1, 9)})
	require.True(t, ctx.Equal(setOf(dot(1, 3), dot(2, 1))))
	require.False(t, ctx.Has(dot(1, 2)))
	require.EqualValues(t, 9, latest)
}

func TestConflictsAreClassified(t *testing.T) {
	put, other := write(1, 2), write(2, 1)
	del, gone := write(1, 2), write(3, 1)
	del.Absent, gone.Absent = true, true
	deadOther := other
	deadOther.Absent = true
	base := write(1, 1)
	for want, x := range map[conflict.Class]struct {
		in         record.Version
		gone, kept []record.Version
	}{
		conflict.NoConflict:   {put, []record.Version{base}, []record.Version{put}},
		conflict.InsertInsert: {put, nil, []record.Version{put, other}},
		conflict.UpdateUpdate: {put, []record.Version{base}, []record.Version{put, other}},
		conflict.UpdateDelete: {del, nil, []record.Version{del, other}},
		conflict.DeleteDelete: {del, nil, []record.Version{del, deadOther}},
		conflict.Recreate:     {put, []record.Version{gone}, []record.Version{put, other}},
	} {
		require.Equal(t, want, conflict.Classify(x.in, x.gone, x.kept), want.String())
	}
	require.Equal(t, conflict.UpdateDelete, conflict.Classify(put, nil, []record.Version{put, deadOther}))
	require.Equal(t, conflict.NoConflict, conflict.Classify(put, nil, []record.Version{base, other}), "it was not taken")
}
