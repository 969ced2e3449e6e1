package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tree writes a module of one package, x, and of what is given more.
func tree(t *testing.T, more map[string]string) *runner {
	dir := t.TempDir()
	files := map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.25\n",
		"x/x.go": `package x

// One is 1.
func One() int {
	return 1
}

// Two is nowhere tested.
func Two() int { return 2 }

const three = 3
`,
		"x/x_test.go": `package x

import "testing"

func TestOne(t *testing.T) {
	if One() != 1 || three != 3 {
		t.Fatal(One())
	}
}

func TestRed(t *testing.T) { t.Fatal("red") }

func TestTwice(t *testing.T) {
	if One() != 1 {
		t.Error("the first")
	}
}

func TestTwiceMore(t *testing.T) {
	if One() != 1 {
		t.Error("the second")
	}
}
`,
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return &runner{root: dir, name: "m", scratch: t.TempDir(), limit: 30 * time.Second}
}

// change is a mutant of one replacement in one file.
func change(name, file, old, with string, args ...string) mutant {
	return mutant{name: name, tests: [][]string{args}, edits: []edit{{file, old, with}}}
}

// try tries all of ms, and returns what came of each.
func try(t *testing.T, r *runner, ms ...mutant) map[string]result {
	require.NoError(t, r.build(t.Context(), ms, ms))
	all := map[string]result{}
	for _, m := range ms {
		all[m.name] = r.mutate(t.Context(), m)
	}
	return all
}

func TestAMutantIsCaughtSurvivesOrIsNone(t *testing.T) {
	r := tree(t, nil)
	one := []string{"./x", "-run", "^TestOne$"}
	is := try(t, r,
		change("red", "x/x.go", "\treturn 1", "\treturn 2", one...),
		change("unseen", "x/x.go", "return 1", "return 2 - 1", one...),
		change("unrun", "x/x.go", "return 2", "return 3", one...),
		change("untested", "x/x.go", "return 1", "return 2", "./x", "-run", "^TestNone$"),
		change("broken", "x/x.go", "return 1", "return one", one...),
		change("panic", "x/x.go", "return 1", "panic(1)", one...),
		change("constant", "x/x.go", "three = 3", "three = 4", one...),
		change("gone", "x/x.go", "return 7", "return 8", one...),
		change("twice", "x/x.go", "return", "return 0 +", one...),
		change("first", "x/x.go", "return 1", "return 2", "./x", "-run", "^TestTwice"),
		change("another reason", "x/x.go", "return 2", "return 3", "./x", "-run", "^TestRed$"),
	)
	for name, want := range map[string]struct {
		verdict
		why string
	}{
		"red":            {caught, "TestOne"},
		"unseen":         {survives, "go test ./x -run ^TestOne$"},
		"unrun":          {survives, "go test ./x -run ^TestOne$, which does not run what it changes"},
		"untested":       {survives, "go test ./x -run ^TestNone$, which does not run what it changes"},
		"broken":         {broken, "go test ./x -run ^TestOne$"},
		"panic":          {caught, "TestOne"},
		"constant":       {caught, "TestOne (a build of its own: in x/x.go: it changes what is no function, at line 11)"},
		"first":          {caught, "TestTwice"}, // and the test that would go red next is not run
		"another reason": {asleep, "go test ./x -run ^TestRed$"},
	} {
		require.Equal(t, want.verdict, is[name].verdict, "%s: %s", name, is[name].output)
		require.Equal(t, want.why, is[name].why, name)
	}
	require.Equal(t, moved, is["gone"].verdict)
	require.Contains(t, is["gone"].why, "its old text stands 0 times in x/x.go")
	require.Contains(t, is["twice"].why, "stands 2 times")
	require.Contains(t, is["panic"].output, "/mutants/panic/x/x.go:5", "a line says whose it is")
	b, err := os.ReadFile(filepath.Join(r.root, "x", "x.go"))
	require.NoError(t, err)
	require.Contains(t, string(b), "\treturn 1", "the tree is not touched")
}

func TestATestThatIsRedAlreadyShowsNothing(t *testing.T) {
	r := tree(t, nil)
	green := change("m", "x/x.go", "return 1", "return 2", "./x", "-run", "^TestOne$")
	require.NoError(t, r.build(t.Context(), []mutant{green}, []mutant{green}))
	named := func(run string) []mutant { return []mutant{{name: "m", tests: [][]string{{"./x", "-run", run}}}} }
	require.NoError(t, r.baseline(t.Context(), named("^TestOne$"), 2))
	require.ErrorContains(t, r.baseline(t.Context(), named("^TestRed$"), 2), "is red without a mutant in it")
	require.ErrorContains(t, r.baseline(t.Context(), named("^TestNone$"), 2), "runs no test")
	untested := []mutant{{name: "m", tests: [][]string{{"./y"}}}}
	require.ErrorContains(t, r.baseline(t.Context(), untested, 2), "go test ./y runs no test")
}

func TestATreeThatDoesNotCompileIsNoMutantsFault(t *testing.T) {
	r := tree(t, map[string]string{"x/y.go": "package x\n\nvar y = z\n"})
	m := change("m", "x/x.go", "return 1", "return 2", "./x")
	require.ErrorContains(t, r.build(t.Context(), []mutant{m}, []mutant{m}), "undefined: z")
}

// All that a function can be is woven, and does what it did while all sleep.
const forms = `package y

import (
	"errors"
	"fmt"
	"runtime"
)

type list[T any] struct{ all []T }

func (l *list[T]) add(t ...T) { l.all = append(l.all, t...) }

func (list[T]) none(int, string) (n int, err error) {
	defer func() { n++ }()
	return 1, nil
}

func mapped[A any, B comparable](as []A, f func(A) B) []B {
	var bs []B
	for _, a := range as {
		bs = append(bs, f(a))
	}
	return bs
}

func fact(n int) int {
	if n < 2 {
		return 1
	}
	return n * fact(n-1)
}

var loaded []string

func init() { loaded = append(loaded, "a") }

func init() { loaded = append(loaded, "b") }

func caught() (err error) {
	defer rescue(&err)
	panic("x")
}

func rescue(err *error) {
	if r := recover(); r != nil {
		*err = errors.New(fmt.Sprint(r))
	}
}

func where(_ bool, _ int) int {
	_, _, line, _ := runtime.Caller(0)
	return line
}
`

const formsTest = `package y

import (
	"fmt"
	"testing"
)

func Test(t *testing.T) {
	var l list[int]
	l.add(1, 2)
	n, err := l.none(1, "")
	words := mapped(l.all, func(i int) string { return fmt.Sprint(i) })
	got := fmt.Sprint(l.all, n, err, words, fact(4), loaded, caught(), where(true, 1))
	if want := "[1 2] 2 <nil> [1 2] 24 [a b] x 51"; got != want {
		t.Fatalf("got %s", got)
	}
}
`

func TestEveryFormOfFunctionIsWoven(t *testing.T) {
	r := tree(t, map[string]string{"y/y.go": forms, "y/y_test.go": formsTest})
	mut := func(name, old, with string) mutant { return change(name, "y/y.go", old, with, "./y") }
	ms := []mutant{
		mut("variadic", "append(l.all, t...)", "append(l.all, t[0])"),
		mut("unnamed", "return 1, nil", "return 7, nil"),
		mut("named", "{ n++ }", "{ n = 9 }"),
		mut("renamed", "none(int, string) (n int, err error) {\n\tdefer func() { n++ }()", "none(n int, _ string) (int, error) {"),
		mut("generic", "bs = append(bs, f(a))", "bs = append([]B{f(a)}, bs...)"),
		mut("recursive", "n * fact(n-1)", "n + fact(n-1)"),
		mut("first-init", `"a")`, `"c")`),
		mut("second-init", `"b")`, `"c")`),
		mut("panics", `panic("x")`, `panic("y")`),
		mut("unused", "bs = append(bs, f(a))", "_ = f(a)"),
		mut("recovers", "errors.New(fmt.Sprint(r))", `errors.New("never" + fmt.Sprint(r))`),
		mut("caller", "runtime.Caller(0)", "runtime.Caller(1)"),
		mut("import", "\t\"errors\"\n\t\"fmt\"", "\t\"fmt\"\n\t\"errors\""),
		mut("signature", "func fact(n int) int {\n\tif n", "func fact(n int, more ...int) int {\n\tif n+len(more)"),
	}
	is := try(t, r, ms...)
	require.NoError(t, r.baseline(t.Context(), ms, 2))
	own := []string{"caller", "import", "recovers", "signature"}
	for name, got := range map[string]string{
		"variadic": "[1] 2 <nil> [1] 24", "unnamed": " 8 <nil>", "named": " 9 <nil>", "renamed": " 1 <nil>", "generic": "[2 1] 24",
		"recursive": " 10 [a b]", "first-init": "[c b]", "second-init": "[a c]", "panics": " y 51", "unused": "<nil> [] 24", "recovers": "neverx 51",
		"caller": "x 1",
	} {
		require.Equal(t, caught, is[name].verdict, "%s: %s", name, is[name].output)
		require.Contains(t, is[name].output, got, name)
		require.Equal(t, slices.Contains(own, name), strings.Contains(is[name].why, "a build of its own"), is[name].why)
	}
	for _, name := range []string{"import", "signature"} {
		require.Equal(t, survives, is[name].verdict)
		require.Contains(t, r.bins.alone, name)
	}
}

// Mutants of several functions, files and packages, several of one function, and
// several packages that judge one.
func TestMutantsShareFunctionsAndTests(t *testing.T) {
	r := tree(t, map[string]string{
		"x/z.go":        "package x\n\nfunc Three() int { return One() + Two() }\n",
		"a/x/x.go":      "package x\n\nimport \"example.com/m/x\"\n\nfunc Six() int { return 2 * x.Three() }\n",
		"a/x/six.go":    "package x\n\nfunc six(n int) bool { return n == 6 }\n",
		"a/x/_test.z":   "",
		"a/x/x_test.go": "package x\n\nimport \"testing\"\n\nfunc TestSix(t *testing.T) {\n\tif !six(Six()) {\n\t\tt.Fatal(Six())\n\t}\n}\n",
		"m_test.go":     "package m\n\nimport (\n\t\"testing\"\n\t\"example.com/m/x\"\n)\n\nfunc TestThree(t *testing.T) {\n\tif x.Three() != 3 {\n\t\tt.Fatal(x.Three())\n\t}\n}\n",
		"m.go":          "package m\n",
	})
	both := [][]string{{"./a/x"}, {"."}}
	wide := mutant{name: "wide", tests: both, edits: []edit{
		{"x/x.go", "return 1", "return 2"}, {"x/z.go", "One() + Two()", "One() * Two()"}, {"a/x/x.go", "2 * ", "3 * "}}}
	narrow := mutant{name: "narrow", tests: both, edits: []edit{{"x/x.go", "return 1", "return 4"}, {"x/x.go", "return 2", "return 3"}}}
	half := mutant{name: "half", tests: both, edits: []edit{{"a/x/x.go", "2 * ", "3 * "}}}
	is := try(t, r, wide, narrow, half)
	require.Empty(t, r.bins.alone)
	for _, name := range []string{"wide", "narrow"} {
		require.Equal(t, caught, is[name].verdict, is[name].output)
		require.Equal(t, "TestSix TestThree", is[name].why)
	}
	require.Contains(t, is["wide"].output, "x_test.go:7: 12\n")
	require.Contains(t, is["narrow"].output, "m_test.go:10: 7\n")
	require.Equal(t, survives, is["half"].verdict)
	require.Equal(t, "go test ., which does not run what it changes", is["half"].why)
}

func TestOneThatWaitsLeavesItsPlace(t *testing.T) {
	var busy, most, done atomic.Int32
	released := make(chan struct{})
	each(t.Context(), 1, waitingMax+20, func(i int, waits func()) {
		defer done.Add(1)
		if i < waitingMax {
			waits()
			<-released // which comes only because others run meanwhile
			return
		}
		most.Store(max(most.Load(), busy.Add(1)))
		busy.Add(-1)
		if i == waitingMax+19 {
			close(released)
		}
	})
	require.Equal(t, int32(waitingMax+20), done.Load())
	require.Equal(t, int32(1), most.Load())
}
