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

func TestAnExpressionIsReadAndSpelled(t *testing.T) {
	for in, want := range map[string]string{
		"quorum": "quorum", "QUORUM": "quorum", "one": "one", "1": "one", "any 1": "one", "two": "2", "three": "3", "2": "2", "any 2": "2",
		"all": "all", "all (a, b)": "all (a, b)", "quorum (a,b,c)": "quorum (a, b, c)",
		"local_one": "local_one", "LOCAL_QUORUM": "local_quorum", "each_quorum": "each_quorum",
		"quorum in local site": "local_quorum", "one in local site": "local_one", "2 in local site": "2 in local site",
		"quorum in each site": "each_quorum", "one in each rack": "one in each rack",
		"quorum in 2 of 3 sites": "quorum in 2 of 3 sites", "quorum in 2 sites": "quorum in 2 sites", "one in 1 sites": "one in 1 site",
		"quorum in quorum of sites": "quorum in quorum of sites", "one in 2 racks": "one in 2 racks", "all in site eu": "all in site eu",
		"first 1 (b, c)": "first 1 (b, c)", "first 2": "first 2", "any 2 (b, c, d)": "any 2 (b, c, d)",
		"3 votes (a:2, b, c)": "3 votes (a:2, b, c)", "quorum votes (a:2, b:1, w:0)": "quorum votes (a:2, b, w:0)",
		"quorum and one in 2 sites": "quorum and one in 2 sites", "(quorum)": "quorum",
		"all (a, b) or all (c, d)":      "all (a, b) or all (c, d)",
		"one and 2 or all":              "(one and 2) or all",
		"one and (2 or all)":            "one and (2 or all)",
		"one or (2 or (all or quorum))": "one or 2 or all or quorum",
		"quorum in site and and one":    "quorum in site and and one",
	} {
		e, err := quorum.ParseExpr(in)
		require.NoError(t, err, in)
		require.Equal(t, want, e.String(), in)
		require.NoError(t, e.Validate())
		again, err := quorum.ParseExpr(want)
		require.NoError(t, err)
		require.True(t, e.Equal(again), in)
	}
}

func TestAnExpressionThatMeansNothingSaysWhere(t *testing.T) {
	for _, c := range []struct {
		in     string
		offset int
		why    string
	}{
		{"", 0, "a level, a number, any, first, all or a parenthesis expected, found the end"},
		{"most", 0, `a level, a number, any, first, all or a parenthesis expected, found "most"`},
		{"0", 0, "a number from 1 to 16320 expected, found 0"},
		{" 65", 1, "a number from 1 to 64 expected, found 65"},
		{"any 65", 4, "a number from 1 to 64 expected, found 65"},
		{"2x", 0, `a number expected, found "2x"`},
		{"2 (a)", 2, `the end expected, found "("`},
		{"quorum in", 9, "each, local, site, quorum of, or a number of sites or racks expected, found the end"},
		{"quorum in 2", 11, "sites or racks expected, found the end"},
		{"quorum in 3 of 2 sites", 10, "3 of 2 places"},
		{"quorum in 2 of sites", 15, `a number expected, found "sites"`},
		{"quorum in local rack", 16, `site expected, found "rack"`},
		{"quorum in quorum sites", 17, `of expected, found "sites"`},
		{"quorum (a) in each site", 11, `the end expected, found "in"`},
		{"local_quorum in each site", 13, `the end expected, found "in"`},
		{"first 3 (a, b)", 8, "3 of a list of 2"},
		{"quorum and", 10, "a level, a number, any, first, all or a parenthesis expected, found the end"},
		{"(quorum", 7, "and, or, or a closing parenthesis expected, found the end"},
		{"(quorum))", 8, `the end expected, found ")"`},
		{"4 votes (a:2, b)", 0, "4 of 3 votes"},
		{"quorum votes (a:0)", 0, "0 of 0 votes"},
		{"2 votes", 7, "a list of nodes and their votes expected, found the end"},
		{"2 votes (a:256)", 11, "a number from 1 to 255 expected, found 256"},
		{"2 votes (a, a)", 12, "a stands in the list twice"},
		{strings.Repeat("(", 9) + "one", 8, "more than 8 parentheses within one another"},
		{"one" + strings.Repeat(" or one", 16), 0, `17 parts of one "or", at most 16`},
		{"quorum and ü", 11, `a level, a number, any, first, all or a parenthesis expected, found "ü"`},
	} {
		t.Run(c.in, func(t *testing.T) {
			_, err := quorum.ParseExpr(c.in)
			var at *quorum.SyntaxError
			require.ErrorAs(t, err, &at)
			require.ErrorIs(t, err, quorum.ErrExpr)
			require.NotErrorIs(t, err, quorum.ErrPolicy)
			require.Equal(t, c.offset, at.Offset)
			require.Equal(t, c.why, at.Why)
			require.Contains(t, err.Error(), fmt.Sprintf("invalid quorum expression %q: column %d: ", c.in, c.offset+1))
		})
	}
	_, err := quorum.ParseExpr(strings.Repeat(" ", quorum.TextBytesMax) + "all")
	require.ErrorContains(t, err, "column 1: 4099 bytes, at most 4096")
	require.Less(t, len(err.Error()), 300)
}

func TestAnExpressionThatIsBuiltWrongIsRefused(t *testing.T) {
	for _, c := range []struct {
		e   quorum.Expr
		why string
	}{
		{quorum.Expr{Form: 9}, "there is no form 9"},
		{quorum.Expr{K: 2}, `"quorum" takes no number, 2 given`},
		{quorum.Count(0), "0: a number from 1 to 64"},
		{quorum.Count(65), "65: a number from 1 to 64"},
		{quorum.Expr{Form: quorum.FormAnd, Parts: []quorum.Expr{{}}}, `"and" of 1 parts, 2 to 16 may be`},
		{quorum.Expr{Form: quorum.FormOr, K: 1, Parts: []quorum.Expr{{}, {}}}, `"or" takes parts alone`},
		{quorum.Expr{Form: quorum.FormOr, Parts: []quorum.Expr{{}, {Form: quorum.FormOr}}}, `"or" within "or": write them as one`},
		{quorum.Expr{Parts: []quorum.Expr{{}}}, `"quorum" takes no parts`},
		{quorum.Expr{Of: []quorum.Vote{{Node: "a b"}}}, `"a b" is no name of a node`},
		{quorum.Expr{Of: []quorum.Vote{{Node: "a"}, {Node: "a"}}}, "a stands in the list twice"},
		{quorum.Expr{Of: []quorum.Vote{{Node: "a", Votes: 1}}}, "a has votes, and nothing counts them"},
		{quorum.Expr{Form: quorum.FormVotes, K: 1, Of: []quorum.Vote{{Node: "a", Votes: 256}}}, "a has 256 votes: 0 to 255 may be"},
		{quorum.Expr{Of: []quorum.Vote{{Node: "a"}}, In: quorum.Scope{Unit: quorum.UnitSite}}, "a list and places: one of the two"},
		{quorum.Expr{In: quorum.Scope{Unit: 7}}, "there is no unit 7"},
		{quorum.Expr{In: quorum.Scope{K: 1}}, "places of no unit"},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitRack, Local: true}}, "racks have no names here, and none is local"},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitSite, Local: true, K: 1}}, "one choice of places"},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitSite, Total: 1}}, "one choice of places"},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitSite, Site: "a b"}}, `"a b" is no name of a site`},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitSite, K: 65}}, "a number of places from 1 to 64"},
		{quorum.Expr{In: quorum.Scope{Unit: quorum.UnitSite, K: 3, Total: 2}}, "3 of 2 places"},
	} {
		err := c.e.Validate()
		require.ErrorIs(t, err, quorum.ErrExpr)
		require.ErrorContains(t, err, c.why)
		_, err = c.e.MarshalText()
		require.ErrorIs(t, err, quorum.ErrExpr)
	}
}

func TestAnExpressionStandsInADocumentAsItsText(t *testing.T) {
	b, err := json.Marshal(map[string]quorum.Expr{"read": quorum.MustParseExpr("quorum in 2 of 3 sites")})
	require.NoError(t, err)
	require.JSONEq(t, `{"read":"quorum in 2 of 3 sites"}`, string(b))
	var back map[string]quorum.Expr
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, "quorum in 2 of 3 sites", back["read"].String())
	require.ErrorIs(t, json.Unmarshal([]byte(`{"read":"some"}`), &back), quorum.ErrExpr)
	require.Panics(t, func() { quorum.MustParseExpr("some") })
	for c, want := range map[quorum.Consistency]string{quorum.AtQuorum: "quorum", quorum.AtOne: "one", quorum.AtAll: "all"} {
		require.Equal(t, want, c.Expr().String())
	}
}

// exprs draws valid expressions over nodes, in two sites.
func exprs(nodes []string, depth int) *rapid.Generator[quorum.Expr] {
	return rapid.Custom(func(t *rapid.T) quorum.Expr {
		if depth > 0 && rapid.IntRange(0, 2).Draw(t, "whole") == 0 {
			parts := rapid.SliceOfN(exprs(nodes, depth-1), 2, 3).Draw(t, "parts")
			if rapid.Bool().Draw(t, "and") {
				return quorum.And(parts...)
			}
			return quorum.Or(parts...)
		}
		e := quorum.Expr{Form: quorum.Form(rapid.IntRange(0, 4).Draw(t, "form"))}
		most := len(nodes)
		if e.Form == quorum.FormVotes || rapid.IntRange(0, 2).Draw(t, "listed") == 0 {
			for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(nodes), 1, len(nodes), rapid.ID[string]).Draw(t, "of") {
				e.Of = append(e.Of, quorum.Vote{Node: n})
			}
			most = len(e.Of)
		} else if unit := quorum.Unit(rapid.IntRange(0, 2).Draw(t, "unit")); unit != quorum.UnitNone {
			e.In = scopes(unit).Draw(t, "in")
			most = 2
		}
		switch e.Form {
		case quorum.FormCount, quorum.FormFirst:
			e.K = rapid.IntRange(1, most).Draw(t, "k")
		case quorum.FormVotes:
			total := 1
			e.Of[0].Votes = 1
			for i := range e.Of[1:] {
				e.Of[i+1].Votes = rapid.IntRange(0, 3).Draw(t, "votes")
				total += e.Of[i+1].Votes
			}
			e.K = rapid.IntRange(0, total).Draw(t, "k")
		}
		return e
	})
}

func scopes(unit quorum.Unit) *rapid.Generator[quorum.Scope] {
	some := []quorum.Scope{{}, {K: 1}, {K: 2}, {K: 1, Total: 2}, {K: 2, Total: 2}, {Majority: true}}
	if unit == quorum.UnitSite {
		some = append(some, quorum.Scope{Local: true}, quorum.Scope{Site: "us"}, quorum.Scope{Site: "eu"})
	}
	for i := range some {
		some[i].Unit = unit
	}
	return rapid.SampledFrom(some)
}

func TestParseExprReadsBackWhatStringPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := exprs([]string{"a", "b-1", "C_2", "d.e", "and", "0"}, 2).Draw(t, "expr")
		require.NoError(t, e.Validate())
		got, err := quorum.ParseExpr(e.String())
		require.NoError(t, err)
		require.True(t, e.Equal(got), "%v became %v", e, got)
	})
}

func FuzzParseExpr(f *testing.F) {
	for _, s := range []string{"quorum", "2", "all (b)", "first 1 (b, c)", "quorum in 2 of 3 sites", "3 votes (a:2, b)", "one and (2 or each_quorum)", "quorum votes (a:", "\xff(1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := quorum.ParseExpr(s)
		if err != nil {
			var at *quorum.SyntaxError
			require.ErrorAs(t, err, &at)
			require.LessOrEqual(t, at.Offset, len(s))
			return
		}
		require.NoError(t, e.Validate())
		again, err := quorum.ParseExpr(e.String())
		require.NoError(t, err)
		require.True(t, e.Equal(again), "%q, %v", s, e)
	})
}
