package strict

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Override is a value from elsewhere than a file, for a key of a single path.
type Override struct {
	Path   string
	Text   string // of a list: its items, with commas
	Origin Origin
}

// OffsetError is an error of UnmarshalText that knows the place in the text.
type OffsetError struct {
	Offset int // in bytes
	Err    error
}

func (e *OffsetError) Error() string { return e.Err.Error() }

func (e *OffsetError) Unwrap() error { return e.Err }

// Bind fills in a struct: its defaults, what the document says, and what
// overrides it, the later the stronger. d may be nil: there is no file. What is
// wrong is in the values, to be refused together with what later checks find.
func Bind(d *Document, into any, overrides ...Override) *Values {
	b := &binder{values: &Values{origins: map[string]Origin{}, keys: map[string]Origin{}}}
	v := reflect.ValueOf(into).Elem()
	b.all = keysOf(v, "", true, nil)
	b.defaults(v)
	if d != nil {
		b.values.source = d.source
		b.mapping(d.root, v, "")
	}
	for _, o := range overrides {
		b.override(v, o)
	}
	return b.values
}

// binder fills in one struct.
type binder struct {
	values *Values
	all    []Key
}

func (b *binder) fault(line, column int, path, format string, args ...any) {
	b.values.faults = append(b.values.faults, b.values.source.finding(line, column, path, format, args...))
}

// defaults sets the defaults of a struct's fields. A default that cannot be read
// is a fault of the program.
func (b *binder) defaults(v reflect.Value) {
	for f, tag := range fieldsOf(v) {
		switch {
		case !isLeaf(f.Type()) && f.Kind() == reflect.Struct:
			b.defaults(f)
		case tag.value != "":
			if err := setText(f, tag.value, nil); err != nil {
				panic(fmt.Sprintf("default of %s: %v", tag.name, err))
			}
		}
	}
}

func (b *binder) value(n *node, v reflect.Value, path string) {
	if n.form == scalar || n.form == list {
		b.values.origins[path] = Origin{From: File, Name: b.values.source.name, Line: n.line, Column: n.column}
	}
	t := v.Type()
	switch {
	case isLeaf(t) && t.Kind() == reflect.Slice:
		b.list(n, v, path)
	case isLeaf(t):
		b.leaf(n, v, path)
	case n.form == nothing:
	case n.form != mapping:
		b.fault(n.line, n.column, path, "a mapping of keys to values is wanted here, this is %v", n.form)
	case t.Kind() == reflect.Slice:
		b.entries(n, v, path)
	default:
		b.mapping(n, v, path)
	}
}

// mapping binds a mapping to a struct.
func (b *binder) mapping(n *node, v reflect.Value, path string) {
	first := map[string]int{}
	for _, f := range n.fields {
		at := b.key(f, first, path)
		known := false
		for held, tag := range fieldsOf(v) {
			switch {
			case tag.name != f.key || tag.name == "":
			case tag.isSecret:
				b.fault(f.line, f.column, at, "a secret does not stand in a file that is shown and copied; %s", secretHint(at))
				b.cover(f)
				known = true
			default:
				known = true
				b.value(f.value, held, at)
			}
		}
		if !known {
			b.unknown(f, v, path)
		}
	}
}

// key notes where a key stands, and whether it stands there twice: first holds the
// lines of those before it.
func (b *binder) key(f field, first map[string]int, path string) string {
	at := Join(path, f.key)
	if line, twice := first[f.key]; twice {
		b.fault(f.line, f.column, at, "this key stands twice; the first is on line %d", line)
	} else {
		first[f.key] = f.line
	}
	b.values.keys[at] = Origin{From: File, Name: b.values.source.name, Line: f.line, Column: f.column}
	return at
}

func secretHint(path string) string {
	return "name a file that holds it with " + path + "_file, or set " + Variable(path)
}

// unknown reports a key that a struct does not have, and what was meant.
func (b *binder) unknown(f field, v reflect.Value, path string) {
	var here, said []string // what a key is called, and what to say instead
	for _, tag := range fieldsOf(v) {
		switch {
		case tag.isSecret:
			here, said = append(here, tag.name), append(said, tag.name+"_file")
		case tag.name != "":
			here, said = append(here, tag.name), append(said, tag.name)
		}
	}
	why := fmt.Sprintf("unknown key %.64q", f.key)
	if len(b.values.faults) > findingsMax {
		b.fault(f.line, f.column, path, "%s", why) // it is counted and not shown
		return
	}
	near, elsewhere := Nearest(f.key, here), b.elsewhere(f.key)
	switch {
	case near != "":
		why += "; did you mean " + said[slices.Index(here, near)] + "?"
	case elsewhere != "" && !strings.Contains(elsewhere, "."):
		why += " here; " + elsewhere + " stands at the top of the file"
	case elsewhere != "":
		why += "; did you mean " + elsewhere + "?"
	default:
		slices.Sort(said)
		why += "; known here are " + strings.Join(slices.Compact(said), ", ")
	}
	b.fault(f.line, f.column, path, "%s", why)
	b.cover(f) // the key may be a misspelt secret
}

// cover hides what a key holds in the fault that was reported last: it is nobody's
// business.
func (b *binder) cover(f field) {
	last := &b.values.faults[len(b.values.faults)-1]
	if runes := []rune(last.line); f.column <= len(runes) {
		if end := strings.IndexRune(string(runes[f.column-1:]), ':'); end >= 0 {
			last.line = string(runes[:f.column-1]) + string(runes[f.column-1:])[:end+1] + " …"
		}
	}
}

// elsewhere returns the path of the first key of that name.
func (b *binder) elsewhere(name string) string {
	for _, k := range b.all {
		if p := "." + k.Path; strings.HasSuffix(p, "."+name) && !k.Secret && !strings.Contains(p, "<") {
			return k.Path
		}
	}
	return ""
}

// entries binds a mapping of names to a slice of structs.
func (b *binder) entries(n *node, v reflect.Value, path string) {
	t := v.Type().Elem()
	first := map[string]int{}
	for _, f := range n.fields {
		at := b.key(f, first, path)
		entry := reflect.New(t).Elem()
		b.defaults(entry)
		entry.Field(keyField(t)).SetString(f.key)
		if short, name := shortField(entry); f.value.form == scalar && short.IsValid() {
			b.value(f.value, short, Join(at, name))
		} else if only := shortOnly(entry); only.IsValid() {
			b.value(f.value, only, at)
		} else {
			b.value(f.value, entry, at)
		}
		v.Set(reflect.Append(v, entry))
	}
}

// shortField returns the field that an entry can be given by alone, if there is one, and
// its key.
func shortField(entry reflect.Value) (reflect.Value, string) {
	for f, tag := range fieldsOf(entry) {
		if tag.short {
			return f, tag.name
		}
	}
	return reflect.Value{}, ""
}

func (b *binder) list(n *node, v reflect.Value, path string) {
	switch n.form {
	case nothing:
		return
	case list:
	default:
		b.fault(n.line, n.column, path, "a list is wanted here, as in [x, y]; this is %v", n.form)
		return
	}
	for i, item := range n.items {
		e := reflect.New(v.Type().Elem()).Elem()
		b.value(item, e, path+"["+strconv.Itoa(i)+"]")
		v.Set(reflect.Append(v, e))
	}
}

func (b *binder) leaf(n *node, v reflect.Value, path string) {
	switch n.form {
	case scalar:
	case nothing:
		at := b.values.keys[path]
		b.fault(at.Line, at.Column, path, "the key has no value; give it one or drop it")
		return
	default:
		b.fault(n.line, n.column, path, "one value is wanted here (%s), this is %v", typeName(v.Type()), n.form)
		return
	}
	if err := setText(v, n.text, n); err != nil {
		column := n.column
		var placed *OffsetError
		if n.plain && errors.As(err, &placed) {
			column += len([]rune(n.text[:min(placed.Offset, len(n.text))]))
		}
		b.fault(n.line, column, path, "%v", err)
	}
}

// override gives a key another value.
func (b *binder) override(v reflect.Value, o Override) {
	i := slices.IndexFunc(b.all, func(k Key) bool { return k.Path == o.Path && k.Single })
	f := v
	if i >= 0 {
		for name := range strings.SplitSeq(o.Path, ".") {
			for held, tag := range fieldsOf(f) {
				if tag.name == name {
					f = held
					break
				}
			}
		}
		b.values.origins[o.Path] = o.Origin
		if err := setText(f, o.Text, nil); err != nil {
			b.values.faults = append(b.values.faults, Finding{At: o.Origin, Path: o.Path, Why: err.Error()})
		}
		return
	}
	b.values.faults = append(b.values.faults, Finding{At: o.Origin, Why: fmt.Sprintf("there is no key %q", o.Path)})
}

// setText sets a leaf to what a text says. n is the scalar if it stood in a file.
func setText(v reflect.Value, text string, n *node) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		if n != nil && n.word != "text" {
			return fmt.Errorf("text is wanted here, this is %s %s; put it in quotes if it is meant", n.word, text)
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("true or false is wanted here, not %.64q", text)
		}
		v.SetBool(text == "true")
	case reflect.Slice:
		v.SetZero()
		for item := range strings.SplitSeq(text, ",") {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := setText(e, strings.TrimSpace(item), nil); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil || i < 0 || i > math.MaxInt32 {
			return fmt.Errorf("a number from 0 to %d is wanted here, not %.64q", math.MaxInt32, text)
		}
		v.SetInt(i)
	default:
		return fmt.Errorf("%v cannot be read", v.Type()) // no struct has such a field: TestKinds
	}
	return nil
}
