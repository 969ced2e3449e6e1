package quorum_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/quorum"
)

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("n%d", i)
	}
	return out
}

func TestZeroPolicyIsAsync(t *testing.T) {
	require.True(t, quorum.Policy{}.Equal(quorum.Async()))
	require.NoError(t, quorum.Policy{}.Validate())
}

func TestValidateRefusesWhatMeansNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		p    quorum.Policy
		why  string
	}{
		{"async with a list", quorum.Policy{Of: []string{"b"}}, "async waits for nobody, and takes no list"},
		{"async with a number", quorum.Policy{K: 1}, "async takes no number, 1 given"},
		{"all with a number", quorum.Policy{Kind: quorum.KindAll, K: 2}, "all takes no number, 2 given"},
		{"first 0", quorum.First(0), "first 0: at least 1"},
		{"any of a negative number", quorum.Any(-1, "b"), "any -1: at least 1"},
		{"first of more than a group holds", quorum.First(quorum.MembersMax), "first 64: at most 63"},
		{"more than are listed", quorum.Any(3, "b", "c"), "any 3 of a list of 2"},
		{"listed twice", quorum.First(1, "b", "c", "b"), "list: b stands in it twice"},
		{"an empty name", quorum.First(1, ""), `list: "" is no name of a node`},
		{"a name with a comma", quorum.First(1, "b,c"), `list: "b,c" is no name of a node`},
		{"a long name", quorum.First(1, strings.Repeat("b", 64)), "is no name of a node"},
		{"a long list", quorum.Any(1, names(65)...), "list of 65 nodes, at most 64"},
		{"no kind", quorum.Policy{Kind: 9, K: 1}, "Kind(9)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.p.Validate()
			require.ErrorIs(t, err, quorum.ErrPolicy)
			require.ErrorContains(t, err, c.why)
			_, err = c.p.MarshalText()
			require.ErrorIs(t, err, quorum.ErrPolicy)
		})
	}
}

func TestValidateAcceptsTheLimits(t *testing.T) {
	for _, p := range []quorum.Policy{
		quorum.Async(), quorum.All(), quorum.First(63), quorum.Any(1, names(64)...),
		quorum.First(1, strings.Repeat("b", 63)), {Kind: quorum.KindAll, Of: []string{"b"}},
	} {
		require.NoError(t, p.Validate(), p.String())
	}
}

func TestParseReadsPolicies(t *testing.T) {
	for in, want := range map[string]quorum.Policy{
		"async":                   quorum.Async(),
		"all":                     quorum.All(),
		"all (b, c)":              {Kind: quorum.KindAll, Of: []string{"b", "c"}},
		"first 1 (b, c)":          quorum.First(1, "b", "c"),
		"any 1 (b, c)":            quorum.Any(1, "b", "c"),
		"first 2":                 quorum.First(2),
		"any 63":                  quorum.Any(63),
		" ANY  2(us-1,us_2 )\n":   quorum.Any(2, "us-1", "us_2"),
		"First\t1(a.b)":           quorum.First(1, "a.b"),
		"any 1 (any, all)":        quorum.Any(1, "any", "all"),
		"any 007 (a,b,c,d,e,f,g)": quorum.Any(7, "a", "b", "c", "d", "e", "f", "g"),
	} {
		got, err := quorum.Parse(in)
		require.NoError(t, err, in)
		require.True(t, want.Equal(got), "%q: %v", in, got)
	}
}

func TestParseSaysWhereAndWhy(t *testing.T) {
	list := func(n int) string { return strings.Join(names(n), ",") }
	for _, c := range []struct {
		in     string
		offset int
		why    string
	}{
		{"", 0, "async, first, any or all expected, found the end"},
		{"   ", 3, "async, first, any or all expected, found the end"},
		{"frist 1", 0, `async, first, any or all expected, found "frist"`},
		{"async 1", 6, `the end expected, found "1"`},
		{"async (b)", 6, `the end expected, found "("`},
		{"all 2", 4, `the end expected, found "2"`},
		{"first", 5, "a number expected, found the end"},
		{"first (b)", 6, `a number expected, found "("`},
		{"first x (b)", 6, `a number expected, found "x"`},
		{"first 1x (b)", 6, `a number expected, found "1x"`},
		{"first -1 (b)", 6, `a number expected, found "-1"`},
		{"any  0 (b)", 5, "a number from 1 to 63 expected, found 0"},
		{"any 64", 4, "a number from 1 to 63 expected, found 64"},
		{"any 18446744073709551617", 4, "a number from 1 to 63 expected, found 18446744073709551617"},
		{"any 3 (b, c)", 4, "3 of a list of 2"},
		{"any 1 ()", 7, `the name of a node expected, found ")"`},
		{"any 1 (", 7, "the name of a node expected, found the end"},
		{"any 1 (b,", 9, "the name of a node expected, found the end"},
		{"any 1 (b,,c)", 9, `the name of a node expected, found ","`},
		{"any 1 (b c)", 9, `a comma or a closing parenthesis expected, found "c"`},
		{"any 1 (b, c", 11, "a comma or a closing parenthesis expected, found the end"},
		{"any 1 (b, c, b)", 13, "b stands in the list twice"},
		{"any 1 (b, ü)", 10, `the name of a node expected, found "ü"`},
		{"any 1 (\xff)", 7, `the name of a node expected, found "\xff"`},
		{"any 1 (b) (c)", 10, `the end expected, found "("`},
		{"any 1 b", 6, `the end expected, found "b"`},
		{"any 1 (" + strings.Repeat("b", 64) + ")", 7, "a name of 64 bytes, at most 63"},
		{"any 1 (" + list(65) + ")", 7 + len(list(64)) + 1, "more than 64 nodes"},
	} {
		t.Run(c.in, func(t *testing.T) {
			p, err := quorum.Parse(c.in)
			var at *quorum.SyntaxError
			require.ErrorAs(t, err, &at)
			require.ErrorIs(t, err, quorum.ErrPolicy)
			require.Equal(t, quorum.SyntaxError{Input: c.in, Offset: c.offset, Why: c.why}, *at)
			require.Equal(t, quorum.Policy{}, p)
		})
	}
}

// policies draws valid policies over nodes.
func policies(nodes []string) *rapid.Generator[quorum.Policy] {
	return rapid.Custom(func(t *rapid.T) quorum.Policy {
		p := quorum.Policy{Kind: quorum.Kind(rapid.IntRange(0, 3).Draw(t, "kind"))}
		if p.Kind != quorum.KindAsync && rapid.Bool().Draw(t, "listed") {
			p.Of = rapid.SliceOfNDistinct(rapid.SampledFrom(nodes), 1, len(nodes), rapid.ID[string]).Draw(t, "of")
		}
		if p.Kind == quorum.KindFirst || p.Kind == quorum.KindAny {
			most := len(p.Of)
			if most == 0 {
				most = quorum.MembersMax - 1
			}
			p.K = rapid.IntRange(1, most).Draw(t, "k")
		}
		return p
	})
}

func TestParseReadsBackWhatStringPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policies([]string{"a", "b-1", "C_2", "d.e", "first", "0"}).Draw(t, "policy")
		require.NoError(t, p.Validate())
		got, err := quorum.Parse(p.String())
		require.NoError(t, err)
		require.True(t, p.Equal(got), "%v became %v", p, got)
	})
}

func TestPolicyStandsInADocumentAsItsText(t *testing.T) {
	b, err := json.Marshal(map[string]quorum.Policy{"sync": quorum.First(1, "b", "c")})
	require.NoError(t, err)
	require.JSONEq(t, `{"sync":"first 1 (b, c)"}`, string(b))

	var back map[string]quorum.Policy
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, quorum.First(1, "b", "c"), back["sync"])

	kept := map[string]*quorum.Policy{"sync": {Kind: quorum.KindAll}}
	require.ErrorIs(t, json.Unmarshal([]byte(`{"sync":"some 1"}`), &kept), quorum.ErrPolicy)
}

func TestEqualTellsPoliciesApart(t *testing.T) {
	all := []quorum.Policy{
		quorum.Async(), quorum.All(), quorum.First(1), quorum.First(2), quorum.Any(1),
		quorum.Any(1, "b", "c"), quorum.Any(1, "c", "b"), quorum.Any(1, "b"),
	}
	for i, p := range all {
		for j, q := range all {
			require.Equal(t, i == j, p.Equal(q), "%v and %v", p, q)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"async", "all (b)", "first 1 (b, c)", "any 2", "any 1 (b,,", "\xff(1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := quorum.Parse(s)
		if err != nil {
			var at *quorum.SyntaxError
			require.ErrorAs(t, err, &at)
			require.LessOrEqual(t, at.Offset, len(s))
			return
		}
		require.NoError(t, p.Validate())
		again, err := quorum.Parse(p.String())
		require.NoError(t, err)
		require.True(t, p.Equal(again))
	})
}
