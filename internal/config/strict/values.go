package strict

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Values says where every value of a bound struct comes from, and gathers what is
// wrong with it.
type Values struct {
	source   *source // nil: there is no file
	origins  map[string]Origin
	keys     map[string]Origin
	faults   []Finding
	warnings []Finding
}

// Origin returns where a value comes from.
func (v *Values) Origin(path string) Origin { return v.origins[path] }

// Given reports whether anybody gave the value: it is not the default.
func (v *Values) Given(path string) bool { return v.origins[path].From != Default }

// Adopt notes that a value follows from another.
func (v *Values) Adopt(path, from string) {
	if o, ok := v.origins[from]; ok {
		v.origins[path] = o
	}
}

// Fault reports that a value is wrong.
func (v *Values) Fault(path, format string, args ...any) {
	v.faults = append(v.faults, v.Finding(path, format, args...))
}

// Faulty reports whether anything is wrong with a value or what is below it.
func (v *Values) Faulty(path string) bool {
	return slices.ContainsFunc(v.faults, func(f Finding) bool {
		rest, ok := strings.CutPrefix(f.Path, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// Dismiss takes back the faults of a value and of what is below it: one fault has
// made them meaningless.
func (v *Values) Dismiss(path string) {
	v.faults = slices.DeleteFunc(v.faults, func(f Finding) bool {
		return f.Path == path || strings.HasPrefix(f.Path, path+".")
	})
}

// Warn notes that a value is taken and may not be what its author wants.
func (v *Values) Warn(path, format string, args ...any) {
	v.warnings = append(v.warnings, v.Finding(path, format, args...))
}

// Warnings returns what was noted, in the order of the file.
func (v *Values) Warnings() []Finding { return ordered(v.warnings) }

// Err is the [*Refused] of all faults, nil if there are none.
func (v *Values) Err() error { return refuse(ordered(v.faults)) }

func ordered(fs []Finding) []Finding {
	fs = slices.Clone(fs)
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.At.From, b.At.From), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column), cmp.Compare(a.Path, b.Path))
	})
	return fs
}

// Finding is about a value: at the place where it stands, or else the nearest
// key around it that stands anywhere.
func (v *Values) Finding(path, format string, args ...any) Finding {
	o, ok := v.origins[path]
	for at := path; !ok && at != ""; at = parent(at) {
		o, ok = v.keys[at]
	}
	switch {
	case v.source == nil, ok && o.From != File:
		return Finding{At: o, Path: path, Why: fmt.Sprintf(format, args...)}
	}
	return v.source.finding(o.Line, o.Column, path, format, args...)
}

// parent cuts the last name, or the last index, off a path.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// Value is one value of a struct.
type Value struct {
	Path   string
	Text   string // as a file would spell it; [Hidden] for a secret that is set
	Origin Origin

	secret bool
}

// All returns every value of the struct that was bound, in its order.
func (v *Values) All(of any) []Value {
	all := v.Raw(of)
	for i := range all {
		if all[i].secret {
			all[i].Text = Hidden
		}
	}
	return all
}

// Raw is All with the secrets as they are, to be compared and never shown.
func (v *Values) Raw(of any) []Value { return v.gather(reflect.ValueOf(of), "", nil) }

func (v *Values) gather(of reflect.Value, under string, all []Value) []Value {
	for f, tag := range fieldsOf(of) {
		path := Join(under, tag.name)
		switch {
		case tag.isSecret && f.IsZero():
		case isLeaf(f.Type()):
			all = append(all, Value{Path: path, Text: textOf(f), Origin: v.origins[path], secret: tag.isSecret})
		case f.Kind() == reflect.Slice:
			for j := range f.Len() {
				e := f.Index(j)
				all = v.gather(e, Join(path, e.Field(keyField(e.Type())).String()), all)
			}
		default:
			all = v.gather(f, path, all)
		}
	}
	return all
}

// textOf is a leaf as a file would spell it.
func textOf(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	if v.Kind() == reflect.Slice {
		var items []string
		for i := range v.Len() {
			items = append(items, textOf(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// VariablePrefix begins the name of every variable that gives a value.
const VariablePrefix = "TRIAD_"

// Variable is the environment's name of a key.
func Variable(path string) string { return VariablePrefix + strings.ToUpper(FlagName(path, "_")) }

// FlagName is the command line's name of a key, words between a separator.
func FlagName(path, between string) string {
	return strings.NewReplacer(".", between, "_", between).Replace(path)
}
