package main

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The environment of a test says which mutant is awake, and where to leave a mark
// once what it changes is run. Children of the test inherit both.
const (
	awakeEnv = "TRIAD_MUTANT"
	markEnv  = "TRIAD_MUTANT_MARK"
)

// cloth is the tree with many mutants woven into it, all asleep: of every function
// that one changes there is a copy as the mutant has it, and where the environment
// names that mutant, the function runs its copy and nothing else. So a test is
// built once for all of them.
type cloth struct {
	files map[string]string // changed or new, by path below the root
	alone map[string]string // the mutants that need a build of their own, and why
}

// thread is one function as one mutant has it.
type thread struct {
	mutant string
	at     int // which declaration of the file
	decl   *ast.FuncDecl
	of     *source // what decl is of
}

// weave weaves ms into the tree at root, but for those that are alone for a
// reason that is known, and those that change more than the bodies of functions.
// What does not match the tree is left out: whoever tries it will hear of it.
func weave(root string, ms []mutant, alone map[string]string) (cloth, error) {
	c := cloth{files: map[string]string{}, alone: maps.Clone(alone)}
	if c.alone == nil {
		c.alone = map[string]string{}
	}
	sources := map[string]*source{}
	threads := map[string][]thread{}
	for _, m := range ms {
		if c.alone[m.name] != "" {
			continue
		}
		more, err := m.threads(root, sources)
		if err != nil {
			c.alone[m.name] = err.Error()
			continue
		}
		for file, ts := range more {
			threads[file] = append(threads[file], ts...)
		}
	}
	for file, ts := range threads {
		c.files[file] = sources[file].with(file, ts)
		c.files[path.Join(path.Dir(file), "mutants_awake.go")] = awake(sources[file].file.Name.Name)
	}
	return c, nil
}

// threads returns the functions that m changes, by file.
func (m mutant) threads(root string, sources map[string]*source) (map[string][]thread, error) {
	files, err := m.apply(root)
	if err != nil {
		return nil, err
	}
	all := map[string][]thread{}
	for file, text := range files {
		if sources[file] == nil {
			if sources[file], err = open(filepath.Join(root, filepath.FromSlash(file))); err != nil {
				return nil, err
			}
		}
		changed, err := scan(file, text)
		if err != nil {
			return nil, err
		}
		at, err := sources[file].differ(changed)
		if err != nil {
			return nil, fmt.Errorf("in %s: %w", file, err)
		}
		for _, i := range at {
			all[file] = append(all[file], thread{m.name, i, changed.file.Decls[i].(*ast.FuncDecl), changed})
		}
	}
	return all, nil
}

// with returns the source with what chooses a copy at the begin of every function
// that one of ts is of, on the line where it stands, and the copies at the end.
func (s *source) with(file string, ts []thread) string {
	by := map[int][]thread{}
	for _, t := range ts {
		by[t.at] = append(by[t.at], t)
	}
	var changes []splice
	for at, ts := range by {
		changes = append(changes, s.chooses(s.file.Decls[at].(*ast.FuncDecl), ts)...)
	}
	var b strings.Builder
	b.WriteString(spliced(s.text, changes))
	for _, t := range ts {
		// Whoever reads of a line in the copy, in a panic or from the compiler, sees whose it is.
		fmt.Fprintf(&b, "\n//line %s%s/%s:%d\n%s\n", lines, t.mutant, file, t.of.line(t.decl.Pos()), t.copied())
	}
	return b.String()
}

// lines is where the lines of mutants are said to stand: /mutants/NAME/FILE.
const lines = "/mutants/"

// copied is the text of the function under the name that it has as a copy.
func (t thread) copied() string {
	from := t.of.offset(t.decl.Name.Pos())
	return t.of.text[t.of.offset(t.decl.Pos()):from] + t.name() + t.of.text[from+len(t.decl.Name.Name):t.of.offset(t.decl.End())]
}

func (t thread) name() string {
	word := func(r rune) rune {
		if r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}
	name := "mutant_" + strings.Map(word, t.mutant) + "_" + t.decl.Name.Name
	if t.decl.Name.Name == "init" && t.decl.Recv == nil {
		name += fmt.Sprint(t.at) // a file may have several
	}
	return name
}

// chooses returns the changes of a function that make it run the copy of the
// mutant that is awake. All parameters must have names for that.
func (s *source) chooses(f *ast.FuncDecl, ts []thread) []splice {
	changes, callee, args := s.named(f)
	var b strings.Builder
	b.WriteString(` if mutantAwake_ != "" { switch mutantAwake_ {`)
	for _, t := range ts {
		call := callee + t.name() + args
		if f.Type.Results == nil {
			call += "; return"
		} else {
			call = "return " + call
		}
		fmt.Fprintf(&b, " case %q: mutantRuns_(); %s;", t.mutant, call)
	}
	b.WriteString(" } };")
	at := s.offset(f.Body.Lbrace) + 1
	return append(changes, splice{at, at, b.String()})
}

// named gives names to those parameters, and to the receiver, that have none, and
// returns how a function that is declared alike is called with them: what stands
// before its name, and what behind it.
func (s *source) named(f *ast.FuncDecl) (changes []splice, before, behind string) {
	n := 0
	name := func(field *ast.Field) (names []string) {
		for _, id := range field.Names {
			name := id.Name
			if name == "_" {
				name = fmt.Sprintf("mutantArg%d_", n)
				changes = append(changes, splice{s.offset(id.Pos()), s.offset(id.End()), name})
			}
			names = append(names, name)
			n++
		}
		if len(field.Names) == 0 {
			name, at := fmt.Sprintf("mutantArg%d_", n), s.offset(field.Type.Pos())
			changes, names = append(changes, splice{at, at, name + " "}), append(names, name)
			n++
		}
		return names
	}
	if f.Recv != nil {
		before = name(f.Recv.List[0])[0] + "."
	}
	var args, types []string
	for _, field := range f.Type.Params.List {
		args = append(args, name(field)...)
		if _, variadic := field.Type.(*ast.Ellipsis); variadic {
			args[len(args)-1] += "..."
		}
	}
	if f.Type.TypeParams != nil {
		for _, field := range f.Type.TypeParams.List {
			for _, id := range field.Names {
				types = append(types, id.Name)
			}
		}
		behind = "[" + strings.Join(types, ", ") + "]"
	}
	return changes, before, behind + "(" + strings.Join(args, ", ") + ")"
}

// awake is a file that every package with mutants in it has more.
func awake(pkg string) string {
	return "package " + pkg + `

import (
	mutantOS_ "os"
	mutantSync_ "sync"
)

// mutantAwake_ names the mutant whose copies are run.
var mutantAwake_ = mutantOS_.Getenv("` + awakeEnv + `")

var mutantMark_ mutantSync_.Once

// mutantRuns_ leaves a mark: a copy was run.
func mutantRuns_() {
	mutantMark_.Do(func() {
		if f, err := mutantOS_.OpenFile(mutantOS_.Getenv("` + markEnv + `"), mutantOS_.O_CREATE|mutantOS_.O_WRONLY, 0o600); err == nil {
			f.Close()
		}
	})
}
`
}

// blamed returns the mutants in whose lines the compiler found something.
func blamed(out string, ms []mutant) []string {
	var all []string
	for _, m := range ms {
		if strings.Contains(out, lines+m.name+"/") {
			all = append(all, m.name)
		}
	}
	slices.Sort(all)
	return all
}
