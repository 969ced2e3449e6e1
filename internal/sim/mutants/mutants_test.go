package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// The files of this folder say what they must, and match the tree as it is now.
// Where one does not any more, its rule is held elsewhere: bring it there.
func TestEveryMutantMatchesTheTree(t *testing.T) {
	all, err := read(".")
	require.NoError(t, err)
	require.Greater(t, len(all), 40)
	for _, m := range all {
		files, err := m.apply(root)
		require.NoError(t, err)
		for path := range files {
			require.False(t, strings.HasSuffix(path, "_test.go"), "%s changes a test", m.name)
		}
	}
}

func TestTheDocumentListsEveryMutant(t *testing.T) {
	all, err := read(".")
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(root, "docs", "testing.md"))
	require.NoError(t, err)
	want, err := place(string(b), table(all))
	require.NoError(t, err)
	require.Equal(t, want, string(b), "run: make mutants")
}

const one = `# A comment.
mutant a
rule   S1
breaks the rule,
breaks in two lines.
test   ./x -run ^TestX$
test   ./y
waits
deep   ./z
file   x/x.go
--- old
	return 1
--- new
	return 2
--- end
`

func TestAMutantIsReadAsItIsWritten(t *testing.T) {
	ms, err := parse("f.txt", one+strings.Replace(one, "mutant a", "mutant b", 1))
	require.NoError(t, err)
	require.Len(t, ms, 2)
	require.Equal(t, mutant{
		name: "a", rule: "S1", breaks: "the rule, in two lines.", at: "f.txt:2",
		tests: [][]string{{"./x", "-run", "^TestX$"}, {"./y"}}, deep: [][]string{{"./z"}}, waits: true,
		edits: []edit{{file: "x/x.go", old: "\treturn 1", new: "\treturn 2"}},
	}, ms[0])
	require.Equal(t, "b", ms[1].name)
}

func TestWhatIsNoMutantIsRefusedWithItsLine(t *testing.T) {
	for name, test := range map[string]struct{ text, why string }{
		"no beginning":        {strings.Replace(one, "mutant a\n", "", 1), "f.txt:2: not a mutant: a file begins with a mutant"},
		"no rule":             {strings.Replace(one, "rule   S1\n", "", 1), "a has no rule"},
		"no test":             {strings.ReplaceAll(one, "test ", "deep "), "a has no test"},
		"an unknown word":     {strings.Replace(one, "deep ", "depth ", 1), `f.txt:9: not a mutant: there is no "depth"`},
		"no package":          {strings.Replace(one, "test   ./y", "test   -run ./y", 1), "a does not begin a test with its package"},
		"no texts":            {strings.Replace(one, "--- old", "--- odd", 1), `after file stands "--- old"`},
		"no end":              {strings.Replace(one, "--- end", "", 1), `no "--- end" ends what begins at line 13`},
		"a change of nothing": {strings.Replace(one, "return 2", "return 1", 1), "a changes nothing in x/x.go"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("f.txt", test.text)
			require.ErrorContains(t, err, test.why)
			require.ErrorIs(t, err, errMutant)
		})
	}
}

func TestOneNameStandsForOneMutant(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"a.txt", "b.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f), []byte(one), 0o600))
	}
	_, err := read(dir)
	require.ErrorContains(t, err, "b.txt:2: not a mutant: a is the name of one at a.txt:2")
}

func TestMutantsArePickedByNameOrRule(t *testing.T) {
	all, err := read(".")
	require.NoError(t, err)
	byName, err := pick(all, "^wal-promise-not-synced$")
	require.NoError(t, err)
	require.Len(t, byName, 1)
	byRule, err := pick(all, "^PW5$")
	require.NoError(t, err)
	require.NotEmpty(t, byRule)
	_, err = pick(all, "(")
	require.ErrorContains(t, err, "-run")
}

func TestTheTableTakesItsPlaceInTheDocument(t *testing.T) {
	ms, err := parse("f.txt", one)
	require.NoError(t, err)
	text, err := place("before\n"+tableBegin+"\nold\n"+tableEnd+"\nafter\n", table(ms))
	require.NoError(t, err)
	require.Equal(t, "before\n"+tableBegin+"\n\n| rule | mutant | what it breaks | caught by |\n|---|---|---|---|\n"+
		"| S1 | a | the rule, in two lines. | x `TestX`, y |\n\n"+tableEnd+"\nafter\n", text)
	_, err = place("no place", table(ms))
	require.ErrorContains(t, err, "has no place for the table")

	path := filepath.Join(t.TempDir(), "doc.md")
	require.NoError(t, os.WriteFile(path, []byte(tableBegin+"\n"+tableEnd), 0o600))
	require.NoError(t, write(path, ms))
	require.NoError(t, write(path, ms), "it stays as it is")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), "| S1 | a |")
}
