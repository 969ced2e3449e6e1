package arch

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
)

// cores lists the files in which protocol decisions live: of each engine, all of
// the package core below it. A core is a function of state and input: no context,
// goroutine, clock, randomness, I/O or order of a map, so that one event loop can
// run a whole cluster from a seed.
var cores = map[string][]string{
	"singleleader/core":    {"*.go"},
	"multileader/core":     {"*.go"},
	"leaderless/core":      {"*.go"},
	"leaderless/placement": {"*.go"},
	"leaderless/merkle":    {"*.go"},
}

var (
	coreImports = []string{"context", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "os", "net"}
	coreClock   = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
	mapOrder    = []string{"Keys", "Values", "All"}
	mapSorters  = []string{"Sorted", "SortedFunc", "SortedStableFunc"}

	// typed are the packages of the standard library whose types are looked
	// up; what comes from others cannot be ranged over in a core.
	typed = []string{"bytes", "cmp", "errors", "iter", "maps", "math", "math/bits", "slices", "sort", "strconv", "strings", "unicode/utf8"}
)

// isCore reports whether a file is one of the listed cores.
func isCore(f *file) bool {
	return !f.test && slices.ContainsFunc(cores[f.dir], func(pattern string) bool {
		ok, err := path.Match(pattern, path.Base(f.path))
		return ok && err == nil
	})
}

// checkCores holds what a core may not do.
func checkCores(t *tree) []finding {
	var fs []finding
	im := newResolver(t)
	for _, f := range t.files {
		if !isCore(f) {
			continue
		}
		report := func(n ast.Node, why string) {
			fs = append(fs, finding{rule: "core", subject: f.path, at: t.at(n), why: why})
		}
		for spec, p := range f.imports() {
			if slices.Contains(coreImports, p) {
				report(spec, "a core does not import "+p)
			}
		}
		checkCore(f, im, report)
	}
	return fs
}

func checkCore(f *file, im *resolver, report func(ast.Node, string)) {
	sorted := map[ast.Node]bool{} // calls whose map order is put right at once
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "a core starts no goroutine")
		case *ast.SelectStmt:
			report(n, "a core selects over no channels")
		case *ast.CallExpr:
			if isSelector(n.Fun, "slices", mapSorters) {
				for _, a := range n.Args {
					sorted[a] = true
				}
			}
			if isSelector(n.Fun, "maps", mapOrder) && !sorted[n] {
				report(n, "the order of a map is random: sort its keys")
			}
		case *ast.SelectorExpr:
			if isSelector(n, "time", coreClock) {
				report(n, "a core is told the time, and calls no time."+n.Sel.Name)
			}
		case *ast.RangeStmt:
			switch typ := im.typeOf(f.dir, n.X); {
			case typ == nil:
				report(n, "cannot tell what is ranged over")
			case isMap(typ):
				report(n, "a core ranges over no map: its order is random")
			}
		}
		return true
	})
}

// isSelector reports whether e is pkg.Name with a name of names.
func isSelector(e ast.Expr, pkg string, names []string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && slices.Contains(names, sel.Sel.Name)
}

// isMap also sees through type parameters: one map among the types is enough.
func isMap(t types.Type) bool {
	if p, ok := t.(*types.TypeParam); ok {
		t = p.Constraint()
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for i := range u.NumEmbeddeds() {
			if union, ok := u.EmbeddedType(i).(*types.Union); ok {
				for j := range union.Len() {
					if isMap(union.Term(j).Type()) {
						return true
					}
				}
			}
		}
	}
	return false
}

// resolver checks the types of packages of the tree, as far as cores need
// them: our own and some of the standard library from source, all others as
// empty ones. Nothing is compiled and no command is run.
type resolver struct {
	tree  *tree
	known map[string]*types.Package
	kinds map[ast.Expr]types.TypeAndValue
}

// std reads the standard library, once for all trees.
var std = sync.OnceValue(func() types.Importer {
	build.Default.CgoEnabled = false // it would run cgo otherwise
	return importer.ForCompiler(token.NewFileSet(), "source", nil)
})

func newResolver(t *tree) *resolver {
	return &resolver{tree: t, known: map[string]*types.Package{}, kinds: map[ast.Expr]types.TypeAndValue{}}
}

// typeOf returns the type of an expression in the package at dir, nil if it
// cannot be told.
func (r *resolver) typeOf(dir string, e ast.Expr) types.Type {
	if _, err := r.Import(path.Join(r.tree.module, dir)); err != nil {
		return nil
	}
	tv, ok := r.kinds[e]
	if !ok || tv.Type == nil || tv.Type == types.Typ[types.Invalid] {
		return nil
	}
	return tv.Type
}

// Import makes a resolver a types.Importer. It fails for nothing that is not
// of the typed packages: what is missing stays without a type.
func (r *resolver) Import(p string) (*types.Package, error) {
	if pkg := r.known[p]; pkg != nil {
		return pkg, nil
	}
	if slices.Contains(typed, p) {
		return std().Import(p)
	}
	dir, own := r.tree.own(p)
	var files []*ast.File
	if own {
		files = r.tree.packageFiles(dir)
	}
	empty := types.NewPackage(p, path.Base(strings.TrimSuffix(p, "/v2")))
	empty.MarkComplete()
	r.known[p] = empty // for packages that are not of the tree, and for a cycle
	if len(files) == 0 {
		return empty, nil
	}
	conf := types.Config{Importer: r, Error: func(error) {}, FakeImportC: true}
	pkg, err := conf.Check(p, r.tree.fset, files, &types.Info{Types: r.kinds})
	if pkg == nil {
		return nil, err
	}
	r.known[p] = pkg
	return pkg, nil
}

// packageFiles returns the files of the package at dir that this system builds.
func (t *tree) packageFiles(dir string) []*ast.File {
	var fs []*ast.File
	for _, f := range t.files {
		if f.dir != dir || f.test {
			continue
		}
		ok, err := build.Default.MatchFile(filepath.Join(t.root, dir), path.Base(f.path))
		if ok && err == nil {
			fs = append(fs, f.ast)
		}
	}
	sort.Slice(fs, func(i, j int) bool { return fs[i].Pos() < fs[j].Pos() })
	return fs
}

var _ types.Importer = (*resolver)(nil)
