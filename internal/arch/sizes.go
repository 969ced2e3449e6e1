package arch

import (
	"fmt"
	"go/ast"
	"strings"
)

// The ceilings of the house. What passes one has a noun in it that wants to
// leave: it has verbs, a state and a lock of its own.
const (
	fileLinesMax        = 500
	functionLinesMax    = 70
	typeMethodsMax      = 25
	structFieldsMax     = 20
	interfaceMethodsMax = 5 // embedded interfaces count nothing
)

// checkSizes holds the ceilings, tests included.
func checkSizes(t *tree) []finding {
	var fs []finding
	over := func(kind, subject, at string, size, most int) {
		if size > most {
			fs = append(fs, finding{rule: "size/" + kind, subject: subject, size: size, at: at, why: fmt.Sprintf("%d, at most %d", size, most)})
		}
	}
	methods := map[string]int{}
	for _, f := range t.files {
		over("file", f.path, f.path, f.lines, fileLinesMax)
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			name := qualify(f.dir, fn.Name.Name)
			if fn.Recv != nil {
				name = qualify(f.dir, receiver(fn)+"."+fn.Name.Name)
				methods[qualify(f.dir, receiver(fn))]++
			}
			lines := t.linesOf(fn)
			if strings.HasSuffix(f.path, "_test.go") {
				for _, lit := range steps(fn) {
					inside := t.linesOf(lit)
					over("function", name+".func", t.at(lit), inside, functionLinesMax)
					lines -= inside
				}
			}
			over("function", name, t.at(fn), lines, functionLinesMax)
		}
		for name, n := range typesOf(f) {
			switch n := n.(type) {
			case *ast.StructType:
				over("struct", qualify(f.dir, name), t.at(n), width(n.Fields), structFieldsMax)
			case *ast.InterfaceType:
				over("interface", qualify(f.dir, name), t.at(n), named(n.Methods), interfaceMethodsMax)
			}
		}
	}
	for name, n := range methods {
		over("methods", name, name, n, typeMethodsMax)
	}
	return fs
}

// steps returns the outermost function literals that a test hands to a call,
// such as the body of a named step: each is measured on its own, so that a test
// may be a list of steps.
func steps(fn *ast.FuncDecl) []*ast.FuncLit {
	var found []*ast.FuncLit
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		for _, arg := range call.Args {
			if lit, ok := arg.(*ast.FuncLit); ok {
				found = append(found, lit)
			}
		}
		return len(found) == 0 || !contains(found, call)
	})
	return found
}

// contains reports whether one of lits stands in call.
func contains(lits []*ast.FuncLit, call *ast.CallExpr) bool {
	for _, l := range lits {
		if l.Pos() >= call.Pos() && l.End() <= call.End() {
			return true
		}
	}
	return false
}

// qualify names something of a package; what is in the root needs no folder.
func qualify(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "." + name
}

func (t *tree) linesOf(n ast.Node) int {
	return t.fset.Position(n.End()).Line - t.fset.Position(n.Pos()).Line + 1
}

// receiver returns the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// typesOf returns every struct and interface of a file. One without a name is
// called by the type or function it stands in, and its place there.
func typesOf(f *file) map[string]ast.Expr {
	found := map[string]ast.Expr{}
	for _, d := range f.ast.Decls {
		outer := "var"
		if fn, ok := d.(*ast.FuncDecl); ok {
			outer = fn.Name.Name
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				outer = n.Name.Name
			case *ast.StructType, *ast.InterfaceType:
				name := outer
				for i := 2; found[name] != nil; i++ {
					name = fmt.Sprintf("%s#%d", outer, i)
				}
				found[name] = n.(ast.Expr)
			}
			return true
		})
	}
	return found
}

// width counts fields; an embedded one counts once.
func width(l *ast.FieldList) int {
	n := 0
	for _, f := range l.List {
		n += max(1, len(f.Names))
	}
	return n
}

// named counts fields that have a name of their own.
func named(l *ast.FieldList) int {
	n := 0
	for _, f := range l.List {
		n += len(f.Names)
	}
	return n
}
