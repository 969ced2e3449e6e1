package arch

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// checkContexts keeps context.Context out of structs: a context belongs to a
// call. A field of a function type may name it.
func checkContexts(t *tree) []finding {
	var fs []finding
	for _, f := range t.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			st, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range st.Fields.List {
				if holdsContext(field.Type) {
					fs = append(fs, finding{rule: "context", subject: f.path, at: t.at(field), why: "a struct holds a context.Context"})
				}
			}
			return true
		})
	}
	return fs
}

func holdsContext(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType, *ast.StructType, *ast.InterfaceType:
			return false
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			found = found || ok && x.Name == "context" && n.Sel.Name == "Context"
		}
		return true
	})
	return found
}

// checkDocs wants a doc comment for every package, in the form godoc expects.
func checkDocs(t *tree) []finding {
	type doc struct{ name, text string }
	docs := map[string]doc{}
	for _, f := range t.files {
		d := docs[f.dir]
		if name := strings.TrimSuffix(f.ast.Name.Name, "_test"); d.name == "" || !f.test {
			d.name = name
		}
		d.text += f.ast.Doc.Text()
		docs[f.dir] = d
	}
	var fs []finding
	for dir, d := range docs {
		switch {
		case d.text == "":
			fs = append(fs, finding{rule: "doc", subject: dir, at: dir, why: "the package has no doc comment"})
		case d.name != "main" && !strings.Contains(d.text, "Package "+d.name+" "):
			fs = append(fs, finding{rule: "doc", subject: dir, at: dir, why: "the doc comment does not begin with “Package " + d.name + "”"})
		}
	}
	return fs
}

// banned are words that say nothing, or the wrong thing, in a name.
var banned = []string{"Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Common", "Base", "Info", "Impl", "Master", "Slave"}

// checkNames keeps banned words out of exported names and names of packages.
func checkNames(t *tree) []finding {
	var fs []finding
	for _, f := range t.files {
		if f.test {
			continue
		}
		report := func(id *ast.Ident, isType, isInterface bool) {
			if why := misnamed(id.Name, isType, isInterface); why != "" {
				fs = append(fs, finding{rule: "name", subject: qualify(f.dir, id.Name), at: t.at(id), why: why})
			}
		}
		if why := misnamed(strings.ToUpper(f.ast.Name.Name[:1])+f.ast.Name.Name[1:], false, false); why != "" {
			fs = append(fs, finding{rule: "name", subject: f.dir, at: f.path, why: why})
		}
		exported(f.ast, report)
	}
	return fs
}

// exported calls report for every exported name a file declares: functions,
// methods, types, fields, interface methods, constants and variables.
func exported(f *ast.File, report func(id *ast.Ident, isType, isInterface bool)) {
	see := func(id *ast.Ident, isType, isInterface bool) {
		if id.IsExported() {
			report(id, isType, isInterface)
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			see(d.Name, false, false)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				seeSpec(s, see)
			}
		}
	}
}

func seeSpec(s ast.Spec, see func(id *ast.Ident, isType, isInterface bool)) {
	switch s := s.(type) {
	case *ast.ValueSpec:
		for _, id := range s.Names {
			see(id, false, false)
		}
	case *ast.TypeSpec:
		_, isInterface := s.Type.(*ast.InterfaceType)
		see(s.Name, true, isInterface)
		ast.Inspect(s.Type, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok {
				for _, id := range field.Names {
					see(id, false, false)
				}
			}
			return true
		})
	}
}

// misnamed says what is wrong with an exported name; empty if nothing is.
func misnamed(name string, isType, isInterface bool) string {
	words := split(name)
	for _, w := range words {
		if slices.Contains(banned, w) {
			return "“" + w + "” is banned in names"
		}
	}
	switch {
	case isType && words[len(words)-1] == "Data":
		return "“Data” is banned as a type"
	case isInterface && len(words) > 1 && words[0] == "I":
		return "an interface does not begin with I"
	}
	return ""
}

// split cuts a name into its words: HTTPServerID is HTTP, Server, ID.
func split(name string) []string {
	var words []string
	rs := []rune(name)
	from := 0
	for i := 1; i < len(rs); i++ {
		lowerToUpper := !unicode.IsUpper(rs[i-1]) && unicode.IsUpper(rs[i])
		endOfAcronym := unicode.IsUpper(rs[i-1]) && unicode.IsUpper(rs[i]) && i+1 < len(rs) && unicode.IsLower(rs[i+1])
		if lowerToUpper || endOfAcronym {
			words, from = append(words, string(rs[from:i])), i
		}
	}
	return append(words, string(rs[from:]))
}

// unfinished matches the words of work that was put off.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX)\b|(?i:\b(for now|placeholder|simplified)\b)`)

// checkComments keeps promises of later work out of code: what is missing
// belongs in the roadmap.
func checkComments(t *tree) []finding {
	var fs []finding
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if w := unfinished.FindString(c.Text); w != "" {
					fs = append(fs, finding{rule: "comment", subject: f.path, at: t.at(c), why: "“" + w + "” belongs in the roadmap, not in code"})
				}
			}
		}
	}
	return fs
}

// checkSentinels wants every sentinel error to exist once in the module.
func checkSentinels(t *tree) []finding {
	first := map[string]string{}
	var fs []finding
	for _, f := range t.files {
		if f.test {
			continue
		}
		for _, id := range sentinels(f.ast) {
			if other, ok := first[id.Name]; ok {
				fs = append(fs, finding{rule: "sentinel", subject: id.Name, at: t.at(id), why: "exists already at " + other})
				continue
			}
			first[id.Name] = t.at(id)
		}
	}
	return fs
}

// sentinels returns the names of a file's `var Err… = errors.New(…)`.
func sentinels(f *ast.File) []*ast.Ident {
	var ids []*ast.Ident
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			for i, id := range v.Names {
				if strings.HasPrefix(id.Name, "Err") && i < len(v.Values) && isNewError(v.Values[i]) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

func isNewError(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == "errors" && sel.Sel.Name == "New"
}
