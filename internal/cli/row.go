package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

func kindName(t client.Table) string { return triad.KindName(t.Kind) }

// rowBytes makes a row of a JSON object: a column for each name.
func rowBytes(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var columns map[string]any
	err := d.Decode(&columns)
	if err == nil && columns == nil {
		err = fmt.Errorf("it is null")
	}
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the object")
		}
	}
	if err != nil {
		return nil, usagef(`a row is a JSON object such as {"name":"Alice"}: %w`, err)
	}
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(numbers(columns)); err != nil {
		return nil, fmt.Errorf("the row: %w", err)
	}
	return b.Bytes(), nil
}

// numbers makes integers of the numbers that are, and floats of the others.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64() // the decoder has checked its form; what is too large is infinite
		return f
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}

// shown is a key or a value as JSON can hold it: text where it is text, else the
// same bytes in base64, and the columns of a row.
type shown struct {
	Text    *string `json:"text,omitempty"`
	Base64  *string `json:"base64,omitempty"`
	Columns any     `json:"columns,omitempty"`
	Bytes   int     `json:"bytes"`
	plain   string  // for people, in one cell
}

func showBytes(b []byte) shown {
	s := shown{Bytes: len(b)}
	if utf8.Valid(b) {
		t := string(b)
		s.Text, s.plain = &t, t
		return s
	}
	t := base64.StdEncoding.EncodeToString(b)
	s.Base64, s.plain = &t, string(b)
	return s
}

// showValue shows a value of a table: a row by its columns.
func showValue(kind record.Kind, b []byte) (shown, error) {
	if kind != record.KindRow {
		return showBytes(b), nil
	}
	columns, err := columnsOf(b)
	if err != nil {
		return shown{}, err
	}
	text, err := json.Marshal(columns)
	if err != nil {
		return shown{}, err
	}
	return shown{Columns: json.RawMessage(text), Bytes: len(b), plain: string(text)}, nil
}

// columnsOf reads a row. It is walked first: anybody may have written it.
func columnsOf(b []byte) (any, error) {
	err := pack.Walk(b)
	var columns map[string]any
	if err == nil {
		err = msgpack.Unmarshal(b, &columns)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the row cannot be read: %w", topology.ErrMalformed, err)
	}
	return printable(columns), nil
}

// printable replaces what JSON has no form for.
func printable(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case float32:
		return printable(float64(v))
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case map[string]any:
		for k := range v {
			v[k] = printable(v[k])
		}
	case map[any]any:
		return fmt.Sprint(v)
	case []any:
		for i := range v {
			v[i] = printable(v[i])
		}
	}
	return v
}
