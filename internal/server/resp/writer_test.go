package resp

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriterWritesBothProtocols(t *testing.T) {
	for name, c := range map[string]struct {
		write        func(*Writer)
		resp2, resp3 string
	}{
		"a word":           {func(w *Writer) { w.Simple("PONG") }, "+PONG\r\n", "+PONG\r\n"},
		"OK":               {(*Writer).OK, "+OK\r\n", "+OK\r\n"},
		"an error":         {func(w *Writer) { w.Error("ERR no") }, "-ERR no\r\n", "-ERR no\r\n"},
		"an error in two":  {func(w *Writer) { w.Error("ERR a\r\n+OK") }, "-ERR a  +OK\r\n", "-ERR a  +OK\r\n"},
		"an integer":       {func(w *Writer) { w.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		"bytes":            {func(w *Writer) { w.Bulk([]byte("a\r\n")) }, "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
		"a string":         {func(w *Writer) { w.BulkString("0123456789") }, "$10\r\n0123456789\r\n", "$10\r\n0123456789\r\n"},
		"a number as text": {func(w *Writer) { w.BulkInt(-12) }, "$3\r\n-12\r\n", "$3\r\n-12\r\n"},
		"no value":         {(*Writer).Null, "$-1\r\n", "_\r\n"},
		"no array":         {(*Writer).NullArray, "*-1\r\n", "_\r\n"},
		"an array":         {func(w *Writer) { w.Array(12) }, "*12\r\n", "*12\r\n"},
		"a map":            {func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		"a set":            {func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		"true":             {func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		"false":            {func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		"a number":         {func(w *Writer) { w.Double(1.5) }, "$3\r\n1.5\r\n", ",1.5\r\n"},
		"infinity":         {func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		"no number":        {func(w *Writer) { w.Double(math.NaN()) }, "$3\r\nnan\r\n", ",nan\r\n"},
		"text":             {func(w *Writer) { w.Verbatim("a\n") }, "$2\r\na\n\r\n", "=6\r\ntxt:a\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for proto, want := range map[int]string{2: c.resp2, 3: c.resp3} {
				w := Writer{Proto: proto}
				c.write(&w)
				require.Equal(t, want, string(w.Bytes()))
			}
		})
	}
}
