package demo

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/triad-kv/triad/examples/clusters"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
)

// NameDefault is the cluster of a demo that names none.
const NameDefault = "single-leader"

// fileBytesMax bounds the file of a cluster.
const fileBytesMax = 1 << 20

// Layout is a cluster that can be shown: its file, and what that says.
type Layout struct {
	Name    string // of a ready cluster, or the file as it was named
	Ready   bool
	text    []byte
	cluster *config.Cluster

	controls []config.ControlKind
}

// Names are the ready clusters.
func Names() []string { return clusters.Names() }

// Find returns the ready cluster of that name, or the one that a file describes;
// NameDefault if the name is empty. Its error is ErrInput, or a *strict.Refused
// that shows what is wrong with the file, which may name the controls.
func Find(name string, controls ...config.ControlKind) (*Layout, error) {
	if name == "" {
		name = NameDefault
	}
	l := &Layout{Name: name, controls: controls}
	file := name
	var err error
	if l.Ready = slices.Contains(Names(), name); l.Ready {
		l.text, file, err = clusters.Read(name)
	} else {
		l.text, err = readFile(name)
	}
	if err != nil {
		return nil, err
	}
	l.cluster, err = config.Reader{Controls: controls}.ReadCluster(file, l.text)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// readFile reads the file of a cluster, if the name can be one.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		if named := strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"); !named {
			return nil, unknown(name)
		}
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err == nil && len(text) > fileBytesMax {
		err = fmt.Errorf("%s: more than %d bytes are no cluster file", name, fileBytesMax)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return text, nil
}

func unknown(name string) error {
	hint := ""
	if near := strict.Nearest(name, Names()); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("%w: there is no demo %.64q%s (there are: %s; or name a file, as in ./cluster.yaml)", ErrInput, name, hint, strings.Join(Names(), ", "))
}
