package strict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// form is what a node of the tree is.
type form uint8

const (
	scalar form = iota
	mapping
	list
	nothing
)

func (f form) String() string {
	return [...]string{"one value", "a mapping", "a list", "nothing"}[f]
}

// node is a value as it stands in a file.
type node struct {
	form         form
	line, column int
	text         string // of a scalar
	word         string // what kind of scalar: "text", "the number", "the truth value"
	plain        bool   // a scalar without quotes, on one line: column + i is its i-th character
	fields       []field
	items        []*node
}

// field is an entry of a mapping.
type field struct {
	key          string
	line, column int
	value        *node
}

// Document is a file that was read and not yet bound.
type Document struct {
	source *source
	root   *node
}

// Parse reads a file. name is how findings call it. The error is a [*Refused].
func Parse(name string, text []byte) (*Document, error) {
	s, faults := newSource(name, text)
	if faults != nil {
		return nil, refuse(faults)
	}
	d := &Document{source: s}
	if f, ok := d.parse(); !ok {
		return nil, refuse([]Finding{f})
	}
	return d, nil
}

// Has reports whether a key stands at the top level of the file.
func (d *Document) Has(key string) bool {
	for _, f := range d.root.fields {
		if f.key == key {
			return true
		}
	}
	return false
}

// Text is the value that stands under a path of keys; empty if none does.
func (d *Document) Text(path ...string) string {
	n := d.root
	for _, key := range path {
		i := slices.IndexFunc(n.fields, func(f field) bool { return f.key == key })
		if i < 0 {
			return ""
		}
		n = n.fields[i].value
	}
	return n.text
}

// Name is how findings call the file.
func (d *Document) Name() string { return d.source.name }

// parse makes the tree, or says what is wrong.
func (d *Document) parse() (fault Finding, ok bool) {
	// The parser is of others and the text is hostile: a fault of the one found
	// by the other is a fault of the text.
	defer func() {
		if r := recover(); r != nil {
			fault, ok = d.source.finding(0, 0, "", "this is no YAML that can be read (%.80v)", r), false
		}
	}()
	tokens := lexer.Tokenize(d.source.text())
	if t, why := refusedToken(tokens); why != "" {
		return d.at(t, "%s", why), false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return d.syntax(err), false
	}
	var c conversion
	if len(file.Docs) > 0 {
		d.root = c.node(file.Docs[0].Body, 0)
	}
	switch {
	case c.why != "":
		return d.at(c.at, "%s", c.why), false
	case d.root == nil || d.root.form == nothing:
		return d.source.finding(0, 0, "", "the file holds no key"), false
	case d.root.form != mapping:
		return d.source.finding(d.root.line, d.root.column, "", "a configuration is a mapping of keys to values, this is %v", d.root.form), false
	}
	return Finding{}, true
}

// at is a finding at a token.
func (d *Document) at(t *token.Token, format string, args ...any) Finding {
	if t == nil || t.Position == nil {
		return d.source.finding(0, 0, "", format, args...)
	}
	return d.source.finding(t.Position.Line, t.Position.Column, "", format, args...)
}

// syntax is the finding of an error of the parser.
func (d *Document) syntax(err error) Finding {
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &placed) {
		return d.at(placed.GetToken(), "this is not YAML: %s; look at the indentation, the colons and the quotes here and just before", placed.GetMessage())
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	return d.source.finding(0, 0, "", "this is not YAML: %.200s", why)
}

// notHere are the forms of YAML that a configuration does without.
var notHere = map[token.Type]string{
	token.AnchorType:     "an anchor; write the value out where it is used",
	token.AliasType:      "an alias; write the value out (a value that begins with * wants quotes)",
	token.MergeKeyType:   "a merge key; write the keys out",
	token.TagType:        "a tag; values need none (one that begins with ! wants quotes)",
	token.DirectiveType:  "a directive; a configuration has none",
	token.MappingKeyType: "a complex key; a key is a word and a colon",
	token.LiteralType:    "a block of text; values stand on one line",
	token.FoldedType:     "a block of text; values stand on one line",
}

// refusedToken returns the first token that a configuration does without, or
// that nests too deep for the parser to be asked, and why it is refused.
func refusedToken(tokens token.Tokens) (*token.Token, string) {
	if len(tokens) > TokensMax {
		return tokens[TokensMax], fmt.Sprintf("the file has more than %d words and signs, which no configuration has", TokensMax)
	}
	depth, dashes, dashLine := 0, 0, 0
	for i, t := range tokens {
		if why := notHere[t.Type]; why != "" {
			return t, why
		}
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			if i > 0 {
				return t, "a second document; a file is one configuration"
			}
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			if t.Position.Line != dashLine {
				dashes, dashLine = 0, t.Position.Line
			}
			dashes++
		}
		if depth > DepthMax || dashes > DepthMax {
			return t, tooDeep
		}
	}
	return nil, ""
}

var tooDeep = fmt.Sprintf("this nests deeper than %d levels", DepthMax)

// conversion turns the library's tree into ours. It stops at the first fault.
type conversion struct {
	at  *token.Token
	why string
}

func (c *conversion) fail(t *token.Token, why string) *node {
	if c.why == "" {
		c.at, c.why = t, why
	}
	return &node{form: nothing}
}

func (c *conversion) node(n ast.Node, depth int) *node {
	if n == nil {
		return nil
	}
	t := n.GetToken()
	switch {
	case c.why != "":
		return &node{form: nothing}
	case depth > DepthMax:
		return c.fail(t, tooDeep)
	}
	at := node{line: t.Position.Line, column: t.Position.Column}
	switch n := n.(type) {
	case *ast.MappingNode:
		at.form = mapping
		for _, v := range n.Values {
			at.fields = append(at.fields, c.field(v, depth))
		}
		if !n.IsFlowStyle && len(at.fields) > 0 {
			at.line, at.column = at.fields[0].line, at.fields[0].column // the library gives that of its colon
		}
	case *ast.MappingValueNode:
		at.form = mapping
		at.fields = []field{c.field(n, depth)}
		at.line, at.column = at.fields[0].line, at.fields[0].column
	case *ast.SequenceNode:
		at.form = list
		for _, v := range n.Values {
			if item := c.node(v, depth+1); item != nil {
				at.items = append(at.items, whole(v, item))
			}
		}
	case *ast.NullNode:
		at.form = nothing
	default:
		c.scalar(n, &at)
	}
	return &at
}

// whole is an item of a list as YAML means it. Of host:port in a list within braces the
// library makes a mapping, though a colon divides only where a space follows.
func whole(n ast.Node, item *node) *node {
	m, ok := n.(*ast.MappingNode)
	if !ok || m.IsFlowStyle || len(item.fields) != 1 {
		return item
	}
	colon, f := n.GetToken().Position, item.fields[0]
	if f.value.form != scalar || !f.value.plain || f.value.line != colon.Line || f.value.column != colon.Column+1 {
		return item
	}
	return &node{form: scalar, line: f.line, column: f.column, text: f.key + ":" + f.value.text, word: "text", plain: true}
}

func (c *conversion) field(v *ast.MappingValueNode, depth int) field {
	t := v.Key.GetToken()
	f := field{key: t.Value, line: t.Position.Line, column: t.Position.Column}
	if f.key == "" {
		c.fail(t, "this key is empty")
	}
	switch v.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
	default:
		c.fail(t, "this is no key; a key is a word and a colon")
	}
	if f.value = c.node(v.Value, depth+1); f.value == nil {
		f.value = &node{form: nothing, line: f.line, column: f.column}
	}
	return f
}

// scalar fills in at from a scalar of the library.
func (c *conversion) scalar(n ast.Node, at *node) {
	t := n.GetToken()
	at.text = t.Value
	switch n.(type) {
	case *ast.StringNode:
		at.word = "text"
		quoted := t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType
		at.plain = !quoted && strings.TrimSpace(t.Origin) == t.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		at.word, at.plain = "the number", true
	case *ast.BoolNode:
		at.word, at.plain = "the truth value", true
	default:
		c.fail(t, "this form of YAML is not for configurations")
	}
}
