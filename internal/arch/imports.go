package arch

import (
	"path"
	"slices"
	"strings"
)

// checkImports holds the import table. Test files are exempt, but nobody's
// tests import a command or a benchmark.
func checkImports(t *tree) []finding {
	var fs []finding
	for _, dir := range t.dirs() {
		if _, ok := roomOf(dir); !ok {
			fs = append(fs, finding{rule: "import", subject: dir, at: dir, why: "no room in the table of rooms.go"})
		}
	}
	for _, f := range t.files {
		r, ok := roomOf(f.dir)
		if !ok {
			continue
		}
		for spec, p := range f.imports() {
			if why := t.refuses(r, f, p); why != "" {
				fs = append(fs, finding{rule: "import", subject: f.dir + " " + p, at: t.at(spec), why: why})
			}
		}
	}
	return fs
}

// refuses says why a file of r may not import p; empty if it may.
func (t *tree) refuses(r room, f *file, p string) string {
	switch own, ok := t.own(p); {
	case ok && f.test:
		if anyCovers([]string{"cmd/...", "benchmarks/..."}, own) && !covers(r.at, own) {
			return "tests do not import commands or benchmarks"
		}
	case f.test:
	case ok && !r.admits(own):
		return r.at + " may not import " + own
	case !ok && third(p) && !r.admitsThird(p, path.Base(f.path)):
		return "this third-party package has no home here"
	case !ok && slices.Contains(r.never, p):
		return "stays out of a pure room"
	}
	return ""
}

// own returns the folder of one of our packages.
func (t *tree) own(p string) (string, bool) {
	if p == t.module {
		return ".", true
	}
	return strings.CutPrefix(p, t.module+"/")
}

// third reports whether an import path names a host, as the standard
// library's do not.
func third(p string) bool {
	host, _, _ := strings.Cut(p, "/")
	return strings.Contains(host, ".")
}

// checkWork keeps workspaces out: each module must build alone.
func checkWork(t *tree) []finding {
	var fs []finding
	for _, p := range t.others {
		fs = append(fs, finding{rule: "go.work", subject: p, at: p, why: "every module builds on its own, without a workspace"})
	}
	return fs
}
