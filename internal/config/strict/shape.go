package strict

import (
	"encoding"
	"iter"
	"reflect"
	"strconv"
	"strings"
)

// tag is what the tags of a struct's field say.
type tag struct {
	name, value                  string // of the key; the default's text
	key, short, isSecret, inline bool
}

func tagOf(f reflect.StructField) (tag, bool) {
	text, ok := f.Tag.Lookup("yaml")
	if !ok {
		return tag{}, false
	}
	t := tag{value: f.Tag.Get("default")}
	var options string
	t.name, options, _ = strings.Cut(text, ",")
	t.key, t.short, t.isSecret, t.inline = options == "key", options == "short", options == "secret", options == "inline"
	return t, true
}

// fieldsOf yields the fields of a struct that a file may hold, each with its tag. Those
// of an embedded struct are the struct's own, and so are those of a struct that an
// inline field points to.
func fieldsOf(v reflect.Value) iter.Seq2[reflect.Value, tag] {
	return func(yield func(reflect.Value, tag) bool) {
		for _, f := range reflect.VisibleFields(v.Type()) {
			tag, ok := tagOf(f)
			switch at := v.FieldByIndex(f.Index); {
			case !ok || tag.key:
			case tag.inline && at.IsNil():
			case tag.inline:
				for f, tag := range fieldsOf(at.Elem().Elem()) {
					if !yield(f, tag) {
						return
					}
				}
			case !yield(at, tag):
				return
			}
		}
	}
}

// zero is a struct of a type that holds nothing yet.
func zero(t reflect.Type) reflect.Value { return reflect.New(t).Elem() }

// keyField returns the field that holds the name of an entry; −1 if t is no
// struct of named entries.
func keyField(t reflect.Type) int {
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if tag, ok := tagOf(t.Field(i)); ok && tag.key {
				return i
			}
		}
	}
	return -1
}

var textual = reflect.TypeFor[encoding.TextUnmarshaler]()

// isLeaf reports whether a type holds one value, or a plain list of them.
func isLeaf(t reflect.Type) bool {
	switch {
	case reflect.PointerTo(t).Implements(textual):
		return true
	case t.Kind() == reflect.Slice:
		return keyField(t.Elem()) < 0
	}
	return t.Kind() != reflect.Struct
}

// Key is one value that a struct may be given.
type Key struct {
	Path    string // with <name> where an entry's name stands
	Type    string // what it holds, for people
	Default string
	Secret  bool // never in a file
	Single  bool // no name in its path: the environment and flags can give it
}

// Keys returns the keys of a struct in its order.
func Keys(of any) []Key { return keysOf(reflect.ValueOf(of), "", true, nil) }

func keysOf(v reflect.Value, under string, single bool, keys []Key) []Key {
	for f, tag := range fieldsOf(v) {
		path := Join(under, tag.name)
		switch t := f.Type(); {
		case isLeaf(t):
			keys = append(keys, Key{Path: path, Type: typeName(t), Default: tag.value, Secret: tag.isSecret, Single: single})
		case t.Kind() == reflect.Slice:
			entry := zero(t.Elem())
			if only := shortOnly(entry); only.IsValid() {
				keys = append(keys, Key{Path: Join(path, "<name>"), Type: typeName(only.Type())})
				continue
			}
			keys = keysOf(entry, Join(path, "<name>"), false, keys)
		default:
			keys = keysOf(f, path, single, keys)
		}
	}
	return keys
}

// shortOnly returns the value of an entry that is a name and a value and no more.
func shortOnly(entry reflect.Value) (only reflect.Value) {
	for f, tag := range fieldsOf(entry) {
		if !tag.short || tag.name != "" {
			return reflect.Value{}
		}
		only = f
	}
	return only
}

// typeName says what a leaf holds. A type that is textual may say it itself.
func typeName(t reflect.Type) string {
	if n, ok := reflect.New(t).Interface().(interface{ TypeName() string }); ok {
		return n.TypeName()
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	}
	return "number"
}

// Join is the path of a key below another. A name that holds more than letters,
// digits, - and _ is quoted, but <name>, which stands for all names.
func Join(path, name string) string {
	if name != "<name>" && strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		name = strconv.Quote(name)
	}
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}
