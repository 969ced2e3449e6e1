// Package typed turns values of Go types into the bytes that tables hold, and back, for
// package triad and package client alike. Text and bytes that are a part of a key, as the
// member of a set, are what they are, so that other protocols read the same; all else is
// msgpack. What is read may be anybody's bytes: it is walked before it is decoded.
package typed

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// KindOf returns what a table of T is defined as: rows if T is a struct, or a map with
// strings as keys, that encodes as a msgpack map, else bytes.
func KindOf[T any]() record.Kind {
	t := reflect.TypeFor[T]()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var sample reflect.Value
	switch {
	case t.Kind() == reflect.Struct:
		sample = reflect.New(t)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		sample = reflect.MakeMap(t)
	default:
		return record.KindBytes
	}
	// A type may encode itself as something else, as time.Time does.
	b, err := Encode(sample.Interface())
	if err == nil {
		_, err = kind.Columns(b)
	}
	if err != nil {
		return record.KindBytes
	}
	return record.KindRow
}

// Encode returns v as msgpack, maps in the order of their keys.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads a T from bytes that anybody may have written: they are walked
// first, so that the decoder meets no length that is only claimed and no depth
// it cannot stand; what it still panics at is malformed too.
func Decode[T any](b []byte) (v T, err error) {
	if err := pack.Walk(b); err != nil {
		return v, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	defer func() {
		if p := recover(); p != nil {
			var none T
			v, err = none, fmt.Errorf("%w: not a %T: %v", topology.ErrMalformed, none, p)
		}
	}()
	if err := msgpack.Unmarshal(b, &v); err != nil {
		var none T
		return none, fmt.Errorf("%w: not a %T: %w", topology.ErrMalformed, none, err)
	}
	return v, nil
}

// Parts returns parts of a key as they are stored.
func Parts[T any](vs []T) ([][]byte, error) {
	bs := make([][]byte, len(vs))
	for i, v := range vs {
		b, err := Part(v)
		if err != nil {
			return nil, err
		}
		bs[i] = b
	}
	return bs, nil
}

// Part returns a part of a key as it is stored: text and bytes as they are, so
// that other protocols read the same, and everything else as msgpack.
func Part[T any](v T) ([]byte, error) {
	switch r := reflect.ValueOf(&v).Elem(); {
	case r.Kind() == reflect.String:
		return []byte(r.String()), nil
	case isBytes(r.Type()):
		return r.Bytes(), nil
	}
	b, err := Encode(v)
	if err != nil {
		return nil, fmt.Errorf("%T: %w: %w", v, topology.ErrMalformed, err)
	}
	return b, nil
}

// PartTo is the inverse of Part. It keeps b.
func PartTo[T any](b []byte) (v T, err error) {
	switch r := reflect.ValueOf(&v).Elem(); {
	case r.Kind() == reflect.String:
		r.SetString(string(b))
		return v, nil
	case isBytes(r.Type()):
		r.SetBytes(b)
		return v, nil
	}
	return Decode[T](b)
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}
