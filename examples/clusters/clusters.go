// Package clusters holds the clusters that triad demo knows by name, one file
// each: files that can be read, copied and changed.
package clusters

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

// Names returns the names of all clusters, sorted.
func Names() []string {
	found, _ := fs.Glob(files, "*"+extension) // the pattern is well formed
	for i, f := range found {
		found[i] = strings.TrimSuffix(path.Base(f), extension)
	}
	slices.Sort(found)
	return found
}

// Read returns the text of the cluster of that name, and the name of its file.
// The error is that of fs.ReadFile.
func Read(name string) (text []byte, file string, err error) {
	file = name + extension
	text, err = files.ReadFile(file)
	return text, path.Join("examples/clusters", file), err
}
