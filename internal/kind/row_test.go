package kind

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

func TestWhatIsNoRowIsRefused(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                     "",
		"an array":                    "\x90",
		"nil":                         "\xc0",
		"a column twice":              "\x82\xa1a\x01\xa1a\x02",
		"a column twice, other form":  "\x82\xa1a\x01\xd9\x01a\x02",
		"a number for a name":         "\x81\x01\x01",
		"bytes for a name":            "\x81\xc4\x01a\x01",
		"a name without a letter":     "\x81\xa0\x01",
		"a name that is not UTF-8":    "\x81\xa1\xff\x01",
		"bytes after the end":         "\x80\x80",
		"fewer columns than claimed":  "\x82\xa1a\x01",
		"4 G columns in five bytes":   "\xdf\xff\xff\xff\xff",
		"a value longer than is left": "\x81\xa1a\xc6\xff\xff\xff\xff",
		"a value that begins nothing": "\x81\xa1a\xc1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Columns([]byte(b))
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func TestNamesOfAnyFormAreTaken(t *testing.T) {
	columns, err := Columns([]byte("\x83\xd9\x01b\x01\xda\x00\x01a\x02\xdb\x00\x00\x00\x01c\x03"))
	require.NoError(t, err)
	require.Equal(t, []Column{{[]byte("a"), []byte{2}}, {[]byte("b"), []byte{1}}, {[]byte("c"), []byte{3}}}, columns)
}

func TestCellsThatMakeNoRowAreRefused(t *testing.T) {
	for name, c := range map[string]topology.CellReading{
		"a name that is not UTF-8": {Field: []byte{0xff}, Version: record.Version{Value: []byte{1}}},
		"a value that is none":     {Field: []byte("a"), Version: record.Version{Value: []byte{0xc1}}},
		"a value and more":         {Field: []byte("a"), Version: record.Version{Value: []byte{1, 1}}},
		"no value":                 {Field: []byte("a")},
		"a value that claims more": {Field: []byte("a"), Version: record.Version{Value: []byte{0xdd, 0xff, 0xff, 0xff, 0xff}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Row([]topology.CellReading{c})
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func FuzzColumns(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x01\xa1b\xc4\x01x"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		columns, err := Columns(b)
		if err != nil {
			return
		}
		for _, c := range columns {
			require.NoError(t, pack.Walk(c.Value))
		}
	})
}
