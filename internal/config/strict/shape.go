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
	name, value          string // of the key; the default's text
	key, short, isSecret bool
}

func tagOf(f reflect.StructField) (tag, bool) {
	text, ok := f.Tag.Lookup("yaml")
	if !ok {
		return tag{}, false
	}
	t := tag{value: f.Tag.Get("default")}
	var options string
	t.name, options, _ = strings.Cut(text, ",")
	t.key, t.short, t.isSecret = options == "key", options == "short", options == "secret"
	return t, true
}

// fieldsOf yields the fields of a struct that a file may hold, by where they stand and
// each with its tag. Those of an embedded struct are the struct's own.
func fieldsOf(t reflect.Type) iter.Seq2[[]int, tag] {
	return func(yield func([]int, tag) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if tag, ok := tagOf(f); ok && !tag.key && !yield(f.Index, tag) {
				return
			}
		}
	}
}

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
func Keys(of any) []Key { return keysOf(reflect.TypeOf(of), "", true, nil) }

func keysOf(t reflect.Type, under string, single bool, keys []Key) []Key {
	for i, tag := range fieldsOf(t) {
		f, path := t.FieldByIndex(i).Type, Join(under, tag.name)
		switch {
		case isLeaf(f):
			keys = append(keys, Key{Path: path, Type: typeName(f), Default: tag.value, Secret: tag.isSecret, Single: single})
		case f.Kind() == reflect.Slice:
			entry := f.Elem()
			if only, ok := shortOnly(entry); ok {
				keys = append(keys, Key{Path: Join(path, "<name>"), Type: typeName(only)})
				continue
			}
			keys = keysOf(entry, Join(path, "<name>"), false, keys)
		default:
			keys = keysOf(f, path, single, keys)
		}
	}
	return keys
}

// shortOnly returns the type of the value of entries that are a name and a value
// and no more.
func shortOnly(t reflect.Type) (reflect.Type, bool) {
	var only reflect.Type
	for i, tag := range fieldsOf(t) {
		if !tag.short || tag.name != "" {
			return nil, false
		}
		only = t.FieldByIndex(i).Type
	}
	return only, only != nil
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
