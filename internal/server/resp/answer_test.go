package resp

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendAnswerTakesOneWholeAnswer(t *testing.T) {
	for _, in := range []string{
		"+OK\r\n", "-ERR no\r\n", ":1\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123456789012345678901234567890\r\n", "$-1\r\n", "*-1\r\n",
		"$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "=8\r\ntxt:abcd\r\n", "!3\r\nERR\r\n", "*0\r\n", "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
		"%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n", ">1\r\n+x\r\n", "$100000\r\n" + strings.Repeat("x", 100_000) + "\r\n",
	} {
		r := bufio.NewReader(strings.NewReader(in + "+NEXT\r\n"))
		got, err := AppendAnswer([]byte("before"), r, len(in))
		require.NoError(t, err, in)
		require.Equal(t, "before"+in, string(got))
		got, err = AppendAnswer(nil, r, 100)
		require.NoError(t, err)
		require.Equal(t, "+NEXT\r\n", string(got))
	}
}

func TestAppendAnswerRefusesWhatIsNone(t *testing.T) {
	for _, in := range []string{
		"OK\r\n", "+OK\n", "\r\n", "$x\r\n", "$-2\r\n", "$99999999999\r\n", "*99999999999\r\n", "*x\r\n", "%x\r\n", "*-2\r\n",
		strings.Repeat("*1\r\n", 40) + ":1\r\n", "+" + strings.Repeat("x", 200) + "\r\n", "$200\r\n" + strings.Repeat("x", 200) + "\r\n",
		"*30\r\n" + strings.Repeat("+xxxxx\r\n", 30),
	} {
		_, err := AppendAnswer(nil, bufio.NewReader(strings.NewReader(in)), 100)
		require.ErrorIs(t, err, ErrAnswer, in)
	}
	for _, in := range []string{"", "+OK", "$5\r\nab", "*2\r\n:1\r\n"} {
		_, err := AppendAnswer(nil, bufio.NewReader(strings.NewReader(in)), 100)
		require.Contains(t, []error{io.EOF, io.ErrUnexpectedEOF}, err, in)
	}
}

func TestAnAnswerIsUnderstoodWhole(t *testing.T) {
	a, rest, err := ParseAnswer([]byte("*3\r\n$2\r\nab\r\n*1\r\n:7\r\n$-1\r\n+OK\r\n"), 4)
	require.NoError(t, err)
	require.Equal(t, Answer{Parts: []Answer{{Text: []byte("ab")}, {Parts: []Answer{{Text: []byte("7")}}}, {Null: true}}}, a)
	require.Equal(t, "+OK\r\n", string(rest))
	require.Equal(t, "[ab [7] null]", a.String())
	a, _, err = ParseAnswer([]byte("-READONLY no\r\n"), 4)
	require.NoError(t, err)
	require.Equal(t, "READONLY", a.Code())
	for _, bad := range []string{"", "+OK", "$5\r\nab\r\n", "%1\r\n", "$x\r\n", strings.Repeat("*1\r\n", 9)} {
		_, _, err = ParseAnswer([]byte(bad), 4)
		require.ErrorIs(t, err, ErrAnswer, "%q", bad)
	}
}

// Whatever comes, what is taken is what came, within its limit.
func FuzzAppendAnswer(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n%1\r\n:1\r\n_\r\n", "$-1\r\n", "$4294967295\r\n", "*4294967295\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := AppendAnswer(nil, bufio.NewReader(bytes.NewReader(in)), 1000)
		if err == nil {
			require.LessOrEqual(t, len(got), 1000)
			require.True(t, bytes.HasPrefix(in, got))
		}
	})
}
