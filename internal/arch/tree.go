package arch

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tree is a source tree as the rules see it. Paths are relative to its root
// and separated by slashes.
type tree struct {
	root   string
	module string // the module path of the root; nested modules continue it
	fset   *token.FileSet
	files  []*file
	texts  []text   // every .md
	others []string // go.work files
}

// file is one Go file.
type file struct {
	path  string
	dir   string // "." for the root
	test  bool   // its name ends in _test.go
	lines int
	ast   *ast.File
}

// text is one Markdown file.
type text struct {
	path string
	body string
}

// finding is one breach of one rule.
type finding struct {
	rule    string
	subject string // what breaks it: stable while lines move, so that an exception can name it
	size    int    // of what is too large; 0 for rules that do not count
	at      string // path or path:line, for the reader
	why     string
}

func (f finding) String() string {
	return fmt.Sprintf("%s: %s: %s (%s)", f.at, f.rule, f.why, f.subject)
}

// load reads the tree under root. A file that does not parse is an error.
func load(root, module string) (*tree, error) {
	t := &tree{root: root, module: module, fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && foreign(rel, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		return t.add(rel, p)
	})
	return t, err
}

// foreign reports whether a folder is not part of the code: what go skips, and
// what .gitignore names in the root.
func foreign(rel, name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		name == "testdata" || name == "vendor" || rel == "bin" || rel == "data"
}

func (t *tree) add(rel, p string) error {
	switch ext := path.Ext(rel); {
	case path.Base(rel) == "go.work":
		t.others = append(t.others, rel)
	case ext == ".md":
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		t.texts = append(t.texts, text{path: rel, body: string(b)})
	case ext == ".go":
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.fset, rel, b, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.files = append(t.files, &file{
			path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"),
			lines: strings.Count(string(b), "\n"), ast: f,
		})
	}
	return nil
}

// at names a place for the reader.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// dirs returns the folders that hold Go files, in order.
func (t *tree) dirs() []string {
	var ds []string
	for _, f := range t.files {
		ds = append(ds, f.dir)
	}
	slices.Sort(ds)
	return slices.Compact(ds)
}

// imports yields each import of a file with its path unquoted.
func (f *file) imports() map[*ast.ImportSpec]string {
	m := make(map[*ast.ImportSpec]string, len(f.ast.Imports))
	for _, s := range f.ast.Imports {
		p, err := strconv.Unquote(s.Path.Value)
		if err == nil {
			m[s] = p
		}
	}
	return m
}

// sorted puts findings in the order of their places.
func sorted(fs []finding) []finding {
	slices.SortFunc(fs, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.subject, b.subject), cmp.Compare(a.at, b.at))
	})
	return fs
}

// rule is one of the house's rules over a tree.
type rule func(*tree) []finding

// rules are all of them, by name. Their findings carry these names, or begin
// with them.
var rules = map[string]rule{
	"import":   checkImports,
	"size":     checkSizes,
	"context":  checkContexts,
	"doc":      checkDocs,
	"link":     checkLinks,
	"name":     checkNames,
	"go.work":  checkWork,
	"comment":  checkComments,
	"sentinel": checkSentinels,
	"core":     checkCores,
	"leak":     checkLeaks,
}
