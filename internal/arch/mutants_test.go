package arch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutant checks the tree testdata/name and returns what is found as lines of
// rule and subject, beside what want.txt says must be found: no less, no more.
func mutant(t *testing.T, name string, check rule) (want, got []string) {
	t.Helper()
	root := filepath.Join("testdata", name)
	tr, err := load(root, "example.com/house")
	require.NoError(t, err)
	for _, f := range sorted(check(tr)) {
		got = append(got, f.rule+" "+f.subject)
	}
	b, err := os.ReadFile(filepath.Join(root, "want.txt"))
	require.NoError(t, err)
	want = strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
	slices.Sort(want)
	slices.Sort(got)
	return want, got
}

func TestEveryRuleReportsItsMutant(t *testing.T) {
	folders := map[string]string{"go.work": "work"}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			folder := name
			if f, ok := folders[name]; ok {
				folder = f
			}
			want, got := mutant(t, folder, check)
			require.NotEmpty(t, want)
			require.Equal(t, want, got)
		})
	}
}

func TestNoRuleReportsTheCleanHouse(t *testing.T) {
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			want, got := mutant(t, "clean", check)
			require.Empty(t, want)
			require.Empty(t, got)
		})
	}
}

func TestAnExceptionExcusesUpToItsSize(t *testing.T) {
	found := []finding{{rule: "size/file", subject: "a.go", size: 510}}
	require.Empty(t, excuse(found, []exception{{rule: "size/file", subject: "a.go", size: 510}}))
}

func TestAnExceptionThatIsOutgrownExcusesNothing(t *testing.T) {
	found := []finding{{rule: "size/file", subject: "a.go", size: 511}}
	left := excuse(found, []exception{{rule: "size/file", subject: "a.go", size: 510}})
	require.Len(t, left, 2)
	require.Equal(t, []string{"size/file", "exception"}, []string{left[0].rule, left[1].rule})
}

func TestAnExceptionThatIsNotNeededIsReported(t *testing.T) {
	left := excuse(nil, []exception{{rule: "name", subject: "x.Base"}})
	require.Len(t, left, 1)
	require.Equal(t, "exception", left[0].rule)
}

func TestAnExceptionLargerThanItsSubjectIsReported(t *testing.T) {
	found := []finding{{rule: "size/file", subject: "a.go", size: 505}}
	left := excuse(found, []exception{{rule: "size/file", subject: "a.go", size: 510}})
	require.Len(t, left, 1)
	require.Contains(t, left[0].why, "505 is enough now")
}

func TestAnExceptionWithoutAReasonIsRefused(t *testing.T) {
	for _, line := range []string{"name x.Base", "name x.Base #", "name # why", "size/file a.go # why"} {
		_, err := parseExceptions(line)
		require.Error(t, err, line)
	}
}

func TestExceptionsAreReadLineByLine(t *testing.T) {
	list, err := parseExceptions("# a heading\n\nsize/file a.go 510 # a table\nimport internal/x example.com/y # why not\n")
	require.NoError(t, err)
	require.Equal(t, []exception{
		{rule: "size/file", subject: "a.go", size: 510, line: 3},
		{rule: "import", subject: "internal/x example.com/y", line: 4},
	}, list)
}
