package cli

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
)

// settings are a configuration file and what overrides it: every key of node.yaml
// that holds one value is a variable and a flag too, by one rule: listen.peers is
// TRIAD_LISTEN_PEERS and --listen-peers. A flag wins over the environment, which
// wins over the file.
type settings struct {
	files config.Reader
	file  string
	flags *pflag.FlagSet
	keys  []strict.Key
}

// keyOfFlag marks a flag that is a key of the file; its value is the path.
const keyOfFlag = "triad_key"

func settingFlags(c *cobra.Command, files config.Reader) *settings {
	s := &settings{files: files, flags: c.Flags()}
	s.flags.StringVarP(&s.file, "config", "c", "", "the file, node.yaml; - is standard input")
	for _, k := range files.Keys() {
		if !k.Single {
			continue
		}
		s.keys = append(s.keys, k)
		if k.Secret {
			continue // a command line is seen by everybody
		}
		f := s.flags.VarPF(&setting{kind: k.Type}, strict.FlagName(k.Path, "-"), "", "key "+k.Path)
		f.Annotations = map[string][]string{keyOfFlag: {k.Path}}
		if k.Type == "true or false" {
			f.NoOptDefVal = "true"
		}
	}
	return s
}

// setting is the text of a flag that is a key: it is read where the file is.
type setting struct{ text, kind string }

func (s *setting) String() string { return s.text }

func (s *setting) Type() string {
	return strings.NewReplacer(", ", "|", " or ", "|", " ", "-").Replace(s.kind)
}

func (s *setting) Set(text string) error { s.text = text; return nil }

// overrides returns what overrides the file, the weaker first, and which
// variables look as if they were meant to and do not. One that is nearly the name
// of a key is refused: what it should have changed might be what keeps data.
func (s *settings) overrides(root *cobra.Command, environ []string) (os []strict.Override, idle []string, err error) {
	paths, others := map[string]string{}, map[string]bool{}
	var names []string
	for _, k := range s.keys {
		name := strings.TrimPrefix(strict.Variable(k.Path), strict.VariablePrefix)
		paths[name] = k.Path
		names = append(names, name)
	}
	everyFlag(root, func(f *pflag.Flag) { others[variable(f.Name)] = true })
	for _, entry := range environ {
		full, text, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(full, strict.VariablePrefix)
		if !ours {
			continue
		}
		if path, known := paths[name]; known {
			os = append(os, strict.Override{Path: path, Text: text, Origin: strict.Origin{From: strict.Env, Name: full}})
		} else if near := strict.Nearest(name, names); near != "" && !others[full] {
			return nil, nil, usagef("environment: there is no variable %s; did you mean %s%s?", full, strict.VariablePrefix, near)
		} else if !others[full] {
			idle = append(idle, full)
		}
	}
	s.flags.VisitAll(func(f *pflag.Flag) {
		if path := f.Annotations[keyOfFlag]; path != nil && f.Changed {
			os = append(os, strict.Override{Path: path[0], Text: f.Value.String(), Origin: strict.Origin{From: strict.Flag, Name: "--" + f.Name}})
		}
	})
	return os, idle, nil
}

// everyFlag visits the flags of a command and of all below it.
func everyFlag(c *cobra.Command, visit func(*pflag.Flag)) {
	c.Flags().VisitAll(visit)
	for _, child := range c.Commands() {
		everyFlag(child, visit)
	}
}

// node reads the file with what overrides it.
func (s *settings) node(cmd *cobra.Command) (n *config.Node, idle []string, err error) {
	over, idle, err := s.overrides(cmd.Root(), os.Environ())
	if err != nil {
		return nil, nil, err
	}
	var text []byte
	if s.file != "" {
		if text, err = readFile(cmd, s.file); err != nil {
			return nil, nil, err
		}
	}
	n, err = s.files.ReadNode(fileName(s.file), text, over...)
	return n, idle, err
}
