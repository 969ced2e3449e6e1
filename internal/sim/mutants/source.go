package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
)

// source is one file of Go.
type source struct {
	text string
	set  *token.FileSet
	file *ast.File
}

func open(path string) (*source, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return scan(path, string(b))
}

func scan(path, text string) (*source, error) {
	s := &source{text: text, set: token.NewFileSet()}
	var err error
	s.file, err = parser.ParseFile(s.set, path, text, parser.SkipObjectResolution)
	return s, err
}

func (s *source) offset(p token.Pos) int { return s.set.PositionFor(p, false).Offset }
func (s *source) line(p token.Pos) int   { return s.set.PositionFor(p, false).Line }

// of is the text of a part of the file.
func (s *source) of(n ast.Node) string { return s.text[s.offset(n.Pos()):s.offset(n.End())] }

// differ returns which declarations are other than in t, where those are functions
// that a copy can stand for; else what else is other.
func (s *source) differ(t *source) ([]int, error) {
	if len(s.file.Decls) != len(t.file.Decls) {
		return nil, errors.New("it declares more, or less")
	}
	var at []int
	for i, d := range s.file.Decls {
		e := t.file.Decls[i]
		if s.of(d) == t.of(e) {
			continue
		}
		f, was := d.(*ast.FuncDecl)
		g, is := e.(*ast.FuncDecl)
		switch {
		case !was || !is || f.Body == nil || g.Body == nil:
			return nil, fmt.Errorf("it changes what is no function, at line %d", s.line(d.Pos()))
		case s.form(f) != t.form(g):
			return nil, fmt.Errorf("it changes how %s is declared", f.Name.Name)
		case asksWhoCalls(g.Body):
			return nil, fmt.Errorf("%s asks who calls it, or recovers", f.Name.Name)
		}
		at = append(at, i)
	}
	if len(at) == 0 {
		return nil, errors.New("it changes no declaration")
	}
	return at, nil
}

// form is how a function is declared, without the names of what it is given and
// gives back.
func (s *source) form(f *ast.FuncDecl) string {
	var b strings.Builder
	fields := func(l *ast.FieldList) {
		b.WriteByte('(')
		if l != nil {
			for _, field := range l.List {
				b.WriteString(strings.Repeat(s.of(field.Type)+",", max(1, len(field.Names))))
			}
		}
		b.WriteByte(')')
	}
	fields(f.Recv)
	b.WriteString(f.Name.Name)
	if f.Type.TypeParams != nil {
		b.WriteString(s.of(f.Type.TypeParams))
	}
	fields(f.Type.Params)
	fields(f.Type.Results)
	return b.String()
}

// asksWhoCalls reports whether a function would notice that it is called from
// another than before: recover works in what was deferred itself alone.
func asksWhoCalls(body *ast.BlockStmt) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				found = found || f.Name == "recover"
			case *ast.SelectorExpr:
				pkg, _ := f.X.(*ast.Ident)
				found = found || pkg != nil && pkg.Name == "runtime" && strings.HasPrefix(f.Sel.Name, "Caller")
			}
		}
		return true
	})
	return found
}

// splice replaces what stands between two places of a text.
type splice struct {
	from, to int
	text     string
}

func spliced(text string, changes []splice) string {
	slices.SortStableFunc(changes, func(a, b splice) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for _, c := range changes {
		b.WriteString(text[at:c.from])
		b.WriteString(c.text)
		at = c.to
	}
	b.WriteString(text[at:])
	return b.String()
}
