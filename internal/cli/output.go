package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/triad-kv/triad/internal/demo/grid"
)

// outputFlag adds --output.
func outputFlag(c *cobra.Command) *oneOf {
	return wordFlag(c, "output", "o", "table", "form of the result", "table", "json", "yaml")
}

// result is what a command has to show: a value with json tags, and the table
// that people read.
type result struct {
	value any
	table grid.Table
	above string // a line over the table
	below string // and under it
}

// write prints r in one form.
func (r *result) write(w io.Writer, form string) error {
	switch form {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(r.value)
	case "yaml":
		return writeYAML(w, r.value)
	}
	if r.above != "" {
		if _, err := io.WriteString(w, r.above+"\n"); err != nil {
			return err
		}
	}
	if r.table.Header != nil {
		if err := r.table.Write(w); err != nil {
			return err
		}
	}
	if r.below != "" {
		if _, err := io.WriteString(w, r.below+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// writeYAML prints a value with the names and the order that its JSON has: JSON is
// YAML, and is read as a tree whose flow style is then taken off.
func writeYAML(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return err
	}
	block(&n)
	var text bytes.Buffer // the encoder does not keep the error of a writer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&n), e.Close()); err != nil {
		return err
	}
	_, err = text.WriteTo(w)
	return err
}

// block takes the flow style off a tree. Strings that would be read as something
// else keep their quotes: the encoder sees to it.
func block(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		n.Style &^= yaml.DoubleQuotedStyle
	}
	for _, c := range n.Content {
		block(c)
	}
}
