package grid

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColumnsAreAlignedAndNumbersStandToTheRight(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Table{
		Header: []string{"node", "lsn", "addr"},
		Rows:   [][]string{{"leader", "7", "127.0.0.1:7400"}, {"standby-1", "1200", ""}},
		Indent: "  ",
	}.Write(&b))
	require.Equal(t, "  NODE        LSN  ADDR\n"+
		"  leader        7  127.0.0.1:7400\n"+
		"  standby-1  1200  -\n", b.String())
}

func TestATableWithoutRowsIsItsHeader(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Table{Header: []string{"key", "value"}}.Write(&b))
	require.Equal(t, "KEY  VALUE\n", b.String())
}

func TestWhatATerminalWouldObeyIsEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"Alice":            "Alice",
		"Zoë 🙂":            "Zoë 🙂",
		"a\nb":             `a\nb`,
		"\x1b[31mred":      `\x1b[31mred`,
		"\xff\x00":         `\xff\x00`,
		`say "back\slash"`: `say "back\slash"`,
		"\u202edrawer":     `\u202edrawer`,
	} {
		require.Equal(t, want, Plain(in), "%q", in)
	}
	var b bytes.Buffer
	require.NoError(t, Table{Header: []string{"key"}, Rows: [][]string{{"a\x1b]0;x\a\nb"}}}.Write(&b))
	require.Equal(t, "KEY\n"+`a\x1b]0;x\a\nb`+"\n", b.String())
}

func TestAWriterThatFailsIsReported(t *testing.T) {
	require.ErrorIs(t, Table{Header: []string{"a"}}.Write(failing{}), errFailing)
}

var errFailing = errors.New("the pipe is closed")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFailing }

func TestBytesAreReadable(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 16 << 20: "16.0 MiB", 1<<64 - 1: "16.0 EiB"} {
		require.Equal(t, want, Bytes(n))
	}
}
