package arch

import (
	"go/ast"
	"path"
)

const goleak = "go.uber.org/goleak"

// checkLeaks holds that a package which starts goroutines, in its tests at least,
// counts them when its tests end. Packages without tests are not asked.
func checkLeaks(t *tree) []finding {
	starts, counts, tested := map[string]ast.Node{}, map[string]bool{}, map[string]bool{}
	for _, f := range t.files {
		if f.test {
			tested[f.dir] = true
			counts[f.dir] = counts[f.dir] || countsGoroutines(f)
		}
		if n := goroutineIn(f); n != nil && starts[f.dir] == nil {
			starts[f.dir] = n
		}
	}
	var fs []finding
	for _, dir := range t.dirs() {
		if starts[dir] != nil && tested[dir] && !counts[dir] {
			fs = append(fs, finding{
				rule: "leak", subject: dir, at: t.at(starts[dir]),
				why: "a goroutine is started, and none is counted when the tests end: func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }",
			})
		}
	}
	return fs
}

// goroutineIn returns a place where a file starts a goroutine: by go, or by the
// method Go of a group that waits for it.
func goroutineIn(f *file) (at ast.Node) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			at = n
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" && len(n.Args) == 1 {
				at = n
			}
		}
		return at == nil
	})
	return at
}

// countsGoroutines reports whether a test file ends its package's tests with goleak.
func countsGoroutines(f *file) (counts bool) {
	for _, p := range f.imports() {
		if p != goleak {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			counts = counts || ok && isSelector(call.Fun, path.Base(goleak), []string{"VerifyTestMain", "Find"})
			return !counts
		})
	}
	return counts
}
