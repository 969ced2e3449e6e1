package config

import (
	"errors"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/topology"
)

// ControlKind is a control backend that this package does not know, as one that needs
// a heavy client: the binary that has it hands it to a [Reader].
type ControlKind struct {
	// Name is what control.kind says.
	Name string
	// New returns the keys of the backend with nothing set.
	New func() ControlOptions
}

// ControlOptions are the keys of such a backend: a pointer to a struct as package strict
// binds it. They stand in the section control, beside kind, and are the same on all
// nodes.
type ControlOptions interface {
	// Check reports what is wrong with them, by what the file says alone.
	Check(at *ControlPlace)
	// Open reads the files that they name and returns what builds the backend. What
	// it reports refuses the configuration.
	Open(at *ControlPlace) topology.ControlBuilder
	// Describe says for people where the documents are.
	Describe(at *ControlPlace) string
}

// ControlPlace is where the options of a control are used, and takes what is wrong with
// them. A key is its path below the section they stand in.
type ControlPlace struct {
	Cluster string
	Site    string // whose nodes agree among themselves, where several sites write; else empty

	values *strict.Values
	report func(path, format string, args ...any)
}

const controlSection = "control"

// Fault reports that a value is wrong.
func (p *ControlPlace) Fault(key, format string, args ...any) {
	p.report(controlSection+"."+key, format, args...)
}

// FaultAt reports that an item of a list is.
func (p *ControlPlace) FaultAt(key string, item int, format string, args ...any) {
	p.report(index(controlSection+"."+key, item), format, args...)
}

// Faulty reports whether anything is wrong with a value.
func (p *ControlPlace) Faulty(key string) bool {
	return p.values.Faulty(controlSection + "." + key)
}

// Secret reads the secret in the file that a key names; no name is no secret. A file
// that everybody can read, or that holds no secret, is a fault.
func (p *ControlPlace) Secret(key, file string) string {
	lines, err := secretsIn(file, 1)
	switch {
	case err != nil:
		p.Fault(key, "%v", err)
	case len(lines) > 0:
		return lines[0]
	}
	return ""
}

// Reader reads configurations of nodes and clusters that may use more controls than this
// package knows. The zero value is the reader of those alone.
type Reader struct{ Controls []ControlKind }

// elsewhere are controls that another binary has than the plain one.
var elsewhere = map[string]string{"etcd": "triad-etcd"}

// names are the controls that control.kind can name.
func (r Reader) names() []string {
	names := []string{controlStatic, controlRaft}
	for _, k := range r.Controls {
		names = append(names, k.Name)
	}
	return names
}

// outside returns the keys of the control that a document, or what overrides it, names;
// nil if it is one of this package's, or none at all.
func (r Reader) outside(d *strict.Document, overrides []strict.Override) ControlOptions {
	kind := ""
	if d != nil {
		kind = d.Text(controlSection, "kind")
	}
	for _, o := range overrides {
		if o.Path == controlSection+".kind" {
			kind = o.Text
		}
	}
	for _, k := range r.Controls {
		if k.Name == kind {
			return k.New()
		}
	}
	return nil
}

// Keys are the keys of node.yaml, those of every control among them.
func (r Reader) Keys() []strict.Key {
	keys := strict.Keys(Node{})
	known := map[string]bool{}
	for _, k := range keys {
		known[k.Path] = true
	}
	for _, kind := range r.Controls {
		for _, k := range strict.Keys(struct {
			Control ControlOptions `yaml:",inline"`
		}{kind.New()}) {
			if k.Path = controlSection + "." + k.Path; !known[k.Path] {
				known[k.Path] = true
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// checkOutside checks a control that this package does not know, in a group of members.
func checkOutside(c checker, k Control, cluster string, ms []Member) {
	elected(c, k)
	for _, m := range ms {
		if m.Role == RoleWitness {
			c.Fault("control.kind", "%s is a witness, and votes on who leads in control: {kind: raft} alone; with %s drop it, as two nodes with data outlive the loss of one without", m.ID, k.Kind)
			break
		}
	}
	k.Options.Check(&ControlPlace{Cluster: cluster, Site: c.here, values: c.Values, report: c.Fault})
}

// open is the control backend's builder; nil for the control that needs none.
func (n *Node) openControl() (topology.ControlBuilder, error) {
	if n.Control.Options == nil {
		return n.Control.builder(), nil
	}
	var refused strict.Refused
	p := n.controlPlace()
	p.report = func(path, format string, args ...any) {
		refused.Findings = append(refused.Findings, n.values.Finding(path, format, args...))
	}
	b := n.Control.Options.Open(p)
	if len(refused.Findings) > 0 {
		return nil, &refused
	}
	if b == nil {
		return nil, errors.New("control: there is none: this is a fault of the binary")
	}
	return b, nil
}

func (n *Node) controlPlace() *ControlPlace {
	p := &ControlPlace{Cluster: n.Cluster, values: n.values}
	if n.Topology.several() {
		p.Site = n.Self.Site
	}
	return p
}
