package config

import (
	"slices"

	"github.com/triad-kv/triad/internal/config/strict"
)

// File is a configuration that was read: a [*Node] or a [*Cluster].
type File interface {
	Describe() []Line
	Warnings() []strict.Finding
	Values() []strict.Value
}

// Read reads a file of either kind: one that has nodes or sites is a cluster.
func Read(name string, text []byte, overrides ...strict.Override) (File, error) {
	return Reader{}.Read(name, text, overrides...)
}

// Read is the function of that name, with the reader's controls.
func (r Reader) Read(name string, text []byte, overrides ...strict.Override) (File, error) {
	d, err := strict.Parse(name, text)
	if err != nil {
		return nil, err
	}
	if d.Has("nodes") || d.Has("sites") {
		return r.bindCluster(d, overrides)
	}
	return r.bindNode(d, overrides)
}

// Changed returns the keys whose values differ between two configurations of
// a node, sorted.
func Changed(a, b *Node) []string {
	was, is := map[string]string{}, map[string]string{}
	for path, n := range map[*map[string]string]*Node{&was: a, &is: b} {
		for _, v := range n.values.Raw(*n) {
			(*path)[v.Path] = v.Text
		}
	}
	var changed []string
	for path, text := range was {
		if now, there := is[path]; !there || now != text {
			changed = append(changed, path)
		}
	}
	for path := range is {
		if _, there := was[path]; !there {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}
