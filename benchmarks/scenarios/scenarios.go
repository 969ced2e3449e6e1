// Package scenarios holds the scenarios that triad bench knows by name, one file
// each: files that can be read, copied and changed.
package scenarios

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

const extension = ".yaml"

// Names returns the names of all scenarios, sorted.
func Names() []string {
	found, _ := fs.Glob(files, "*"+extension) // the pattern is well formed
	for i, f := range found {
		found[i] = strings.TrimSuffix(path.Base(f), extension)
	}
	slices.Sort(found)
	return found
}

// Read returns the text of the scenario of that name, and the name of its file.
// The error is that of fs.ReadFile.
func Read(name string) (text []byte, file string, err error) {
	file = name + extension
	text, err = files.ReadFile(file)
	return text, path.Join("benchmarks/scenarios", file), err
}
