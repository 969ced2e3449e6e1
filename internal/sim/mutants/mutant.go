package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one way to break one rule.
type mutant struct {
	name   string
	rule   string
	breaks string     // a sentence
	tests  [][]string // arguments of go test; each must go red
	deep   [][]string // the same, where asked for
	waits  bool       // a test of it waits long for what does not come
	edits  []edit
	at     string // where it is written down
}

// edit is one replacement.
type edit struct{ file, old, new string }

var errMutant = errors.New("not a mutant")

// read reads all mutants of a folder, in the order of files and of lines.
func read(dir string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var all []mutant
	names := map[string]string{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		ms, err := parse(filepath.Base(p), string(b))
		if err != nil {
			return nil, err
		}
		for _, m := range ms {
			if at, taken := names[m.name]; taken {
				return nil, fmt.Errorf("%s: %w: %s is the name of one at %s", m.at, errMutant, m.name, at)
			}
			names[m.name] = m.at
		}
		all = append(all, ms...)
	}
	return all, nil
}

// parse reads the mutants of one file.
func parse(name, text string) ([]mutant, error) {
	p := reading{name: name, lines: strings.Split(text, "\n")}
	for p.n < len(p.lines) {
		if err := p.line(); err != nil {
			return nil, fmt.Errorf("%s:%d: %w: %w", name, p.n, errMutant, err)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, errMutant, err)
	}
	return p.all, nil
}

// reading reads line by line.
type reading struct {
	name  string
	lines []string
	n     int // lines read
	all   []mutant
}

func (p *reading) line() error {
	line := p.lines[p.n]
	p.n++
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if word == "mutant" {
		if err := p.finish(); err != nil {
			return err
		}
		p.all = append(p.all, mutant{name: rest, at: fmt.Sprintf("%s:%d", p.name, p.n)})
		return nil
	}
	if len(p.all) == 0 {
		return fmt.Errorf("a file begins with a mutant")
	}
	m := &p.all[len(p.all)-1]
	switch word {
	case "rule":
		m.rule = rest
	case "breaks":
		m.breaks = strings.TrimSpace(m.breaks + " " + rest)
	case "test":
		m.tests = append(m.tests, strings.Fields(rest))
	case "waits":
		m.waits = true
	case "deep":
		m.deep = append(m.deep, strings.Fields(rest))
	case "file":
		return p.edit(m, rest)
	default:
		return fmt.Errorf("there is no %q", word)
	}
	return nil
}

// edit reads what follows file.
func (p *reading) edit(m *mutant, file string) error {
	e := edit{file: file}
	var err error
	if p.n >= len(p.lines) || p.lines[p.n] != "--- old" {
		return fmt.Errorf(`after file stands "--- old"`)
	}
	p.n++
	if e.old, err = p.until("--- new"); err == nil {
		e.new, err = p.until("--- end")
	}
	m.edits = append(m.edits, e)
	return err
}

func (p *reading) until(mark string) (string, error) {
	from := p.n
	for p.n < len(p.lines) {
		p.n++
		if p.lines[p.n-1] == mark {
			return strings.Join(p.lines[from:p.n-1], "\n"), nil
		}
	}
	return "", fmt.Errorf("no %q ends what begins at line %d", mark, from)
}

// finish holds the mutant before to its form.
func (p *reading) finish() error {
	if len(p.all) == 0 {
		return nil
	}
	m := p.all[len(p.all)-1]
	for what, missing := range map[string]bool{
		"name": m.name == "", "rule": m.rule == "", "breaks": m.breaks == "", "test": len(m.tests) == 0, "file": len(m.edits) == 0,
	} {
		if missing {
			return fmt.Errorf("%s has no %s", m.name, what)
		}
	}
	for _, args := range append(slices.Clone(m.tests), m.deep...) {
		if len(args) == 0 || !strings.HasPrefix(args[0], ".") {
			return fmt.Errorf("%s does not begin a test with its package", m.name)
		}
	}
	for _, e := range m.edits {
		if e.old == "" || e.old == e.new {
			return fmt.Errorf("%s changes nothing in %s", m.name, e.file)
		}
	}
	return nil
}

// apply returns the changed files by their paths below root. What is to be
// replaced must stand there exactly once: else the tree has moved on, and the
// mutant with it.
func (m mutant) apply(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits {
		text, changed := files[e.file]
		if !changed {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, fmt.Errorf("%s (%s): %w", m.name, m.at, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("%s (%s): its old text stands %d times in %s; it must once: bring the mutant to where its rule (%s) is held now", m.name, m.at, n, e.file, m.rule)
		}
		files[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return files, nil
}
