package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// readAll reads every command; the error is io.EOF where the input ended
// between two commands, io.ErrUnexpectedEOF where within one.
func readAll(src io.Reader, l Limits, trusted bool) (commands [][]string, err error) {
	r := NewReader(src, l, nil)
	if trusted {
		r.Trust(l)
	}
	var args [][]byte
	for {
		var ok bool
		if args, ok, err = r.Next(args[:0]); err != nil {
			return commands, err
		}
		if ok {
			c := make([]string, len(args))
			for i, a := range args {
				c[i] = string(a)
			}
			commands = append(commands, c)
			continue
		}
		if err = r.Fill(); err != nil {
			if r.Partial() {
				err = io.ErrUnexpectedEOF
			}
			return commands, err
		}
	}
}

var tiny = Limits{ArgsMax: 4, BulkBytesMax: 100, CommandBytesMax: 150}

func TestReaderReadsCommands(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want [][]string
	}{
		"an array":              {"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n", [][]string{{"ECHO", "hi"}}},
		"two":                   {"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n", [][]string{{"PING"}, {"QUIT"}}},
		"an empty argument":     {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [][]string{{"ECHO", ""}}},
		"any bytes":             {"*2\r\n$4\r\nECHO\r\n$6\r\n\r\n\x00\xff$*\r\n", [][]string{{"ECHO", "\r\n\x00\xff$*"}}},
		"a line":                {"PING\r\n", [][]string{{"PING"}}},
		"a line without CR":     {"set a  b\n", [][]string{{"set", "a", "b"}}},
		"lines with nothing":    {"\r\n\n  \r\n", nil},
		"arrays of nothing":     {"*0\r\n*-1\r\n*-9\r\n", nil},
		"both forms":            {"PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n", [][]string{{"PING"}, {"PING"}, {"PING"}}},
		"quotes":                {`set "a b" 'c d'` + "\r\n", [][]string{{"set", "a b", "c d"}}},
		"escapes":               {`echo "\x00\xfF\n\r\t\b\a\q\"" '\'\n'` + "\r\n", [][]string{{"echo", "\x00\xff\n\r\t\b\aq\"", `'\n`}}},
		"a quote within a word": {`set a"b c"` + "\n", [][]string{{"set", "ab c"}}},
		"an empty word":         {`set ""` + "\n", [][]string{{"set", ""}}},
		"a hex that is none":    {`set "\xg1\x"` + "\n", [][]string{{"set", "xg1x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(strings.NewReader(c.in), tiny, true)
			require.Equal(t, io.EOF, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Bad input 1, 2, 4, 9, 10: framing that is lost is said so, at once.
func TestReaderRefusesWhatIsNoCommand(t *testing.T) {
	for name, c := range map[string]struct {
		in, text string
		stranger bool
	}{
		"too many arguments":            {"*5\r\n", "invalid multibulk length", false},
		"too many of a stranger":        {"*5\r\n", "unauthenticated multibulk length", true},
		"2^31 arguments":                {"*2147483648\r\n", "invalid multibulk length", false},
		"2^63 arguments":                {"*9223372036854775808\r\n", "invalid multibulk length", false},
		"no number of arguments":        {"*x\r\n", "invalid multibulk length", false},
		"a number with a plus":          {"*+1\r\n", "invalid multibulk length", false},
		"a number that begins with 0":   {"*01\r\n", "invalid multibulk length", false},
		"an endless number":             {"*" + strings.Repeat("1", 30), "too big mbulk count string", false},
		"an endless length":             {"*1\r\n$" + strings.Repeat("1", 30), "too big bulk count string", false},
		"no bulk":                       {"*1\r\n:1\r\n", "expected '$', got ':'", false},
		"a bulk of a control character": {"*1\r\n\n", "expected '$', got '?'", false},
		"a negative length":             {"*1\r\n$-1\r\n", "invalid bulk length", false},
		"a length of 101":               {"*1\r\n$101\r\n", "invalid bulk length", false},
		"a length of 101 of a stranger": {"*1\r\n$101\r\n", "unauthenticated bulk length", true},
		"a length of 2^32-1":            {"*1\r\n$4294967295\r\n", "invalid bulk length", false},
		"a length of 2^64":              {"*1\r\n$18446744073709551616\r\n", "invalid bulk length", false},
		"a command of 151 bytes":        {"*2\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n$34\r\n", "too big command", false},
		"a length that is too short":    {"*1\r\n$3\r\nPING\r\n", "an argument is not followed by CR LF", false},
		"a quote that is open":          {"set 'a\n", "unbalanced quotes in request", false},
		"a quote that is followed":      {"set 'a'b\n", "unbalanced quotes in request", false},
		"an endless line":               {strings.Repeat("x", InlineBytesMax+1), "too big inline request", true},
		"too many words":                {"a b c d e\n", "invalid multibulk length", false},
		"too many words of a stranger":  {"a b c d e\n", "unauthenticated multibulk length", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAll(strings.NewReader(c.in), tiny, !c.stranger)
			var p *ProtocolError
			require.ErrorAs(t, err, &p)
			require.Equal(t, c.text, p.Text)
		})
	}
}

func TestReaderTakesWhatIsAtItsLimits(t *testing.T) {
	whole := "*2\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n$27\r\n" + strings.Repeat("y", 27) + "\r\n"
	l := tiny
	l.CommandBytesMax = len(whole)
	got, err := readAll(strings.NewReader(whole), l, true)
	require.Equal(t, io.EOF, err)
	require.Len(t, got, 1)
	l.CommandBytesMax--
	_, err = readAll(strings.NewReader(whole), l, true)
	require.Equal(t, errCommand, err)
	line := strings.Repeat("x", InlineBytesMax)
	got, err = readAll(strings.NewReader(line+"\n"), tiny, true)
	require.Equal(t, io.EOF, err)
	require.Equal(t, [][]string{{line}}, got)
}

// Bad input 20: the split of the bytes does not matter.
func TestReaderReadsWhatIsSplitAtEveryByte(t *testing.T) {
	in := "*2\r\n$4\r\nECHO\r\n$12\r\n0123456789\r\n\r\nset 'a b' \"\\x00\"\r\n*-1\r\n\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n"
	want, err := readAll(strings.NewReader(in), tiny, true)
	require.Equal(t, io.EOF, err)
	require.Len(t, want, 4)
	for i := range in {
		got, err := readAll(io.MultiReader(strings.NewReader(in[:i]), strings.NewReader(in[i:])), tiny, true)
		require.Equal(t, io.EOF, err)
		require.Equal(t, want, got, "split at %d", i)
	}
	got, err := readAll(iotest.OneByteReader(strings.NewReader(in)), tiny, true)
	require.Equal(t, io.EOF, err)
	require.Equal(t, want, got)
}

func TestReaderReadsPipelinesLargerThanItsBuffer(t *testing.T) {
	one := "*2\r\n$3\r\nGET\r\n$80\r\n" + strings.Repeat("k", 80) + "\r\n"
	got, err := readAll(strings.NewReader(strings.Repeat(one, 10_000)), tiny, true)
	require.Equal(t, io.EOF, err)
	require.Len(t, got, 10_000)
}

// Bad input 2, 3, 82: memory grows with what has come, not with what was claimed.
func TestReaderHoldsWhatHasComeAndNotWhatWasClaimed(t *testing.T) {
	held := 0
	r := NewReader(strings.NewReader("*65536\r\n$16777216\r\n0123456789"), LimitsDefault, func(n int) bool { held += n; return true })
	r.Trust(LimitsDefault)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for {
		_, ok, err := r.Next(nil)
		require.NoError(t, err)
		require.False(t, ok)
		if r.Fill() != nil {
			break
		}
	}
	runtime.ReadMemStats(&after)
	require.Zero(t, held)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
}

func TestReaderAsksBeforeItGrowsAndGivesBack(t *testing.T) {
	held, most := 0, 0
	grow := func(n int) bool {
		if held+n > 1<<20 {
			return false
		}
		held += n
		most = max(most, held)
		return true
	}
	value := strings.Repeat("v", 500<<10)
	r := NewReader(strings.NewReader(fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(value), value)), LimitsDefault, grow)
	r.Trust(LimitsDefault)
	var args [][]byte
	for ok := false; !ok; {
		var err error
		args, ok, err = r.Next(nil)
		require.NoError(t, err)
		if !ok {
			require.NoError(t, r.Fill())
		}
	}
	require.Equal(t, value, string(args[1]))
	require.Equal(t, 512<<10-BufferBytesMin, most)
	r.Shrink()
	require.Zero(t, held)
	r.Close()
	require.Zero(t, held)
	refused := NewReader(strings.NewReader("*2\r\n$9000\r\n"+strings.Repeat("x", 9000)), LimitsStranger, func(int) bool { return false })
	var err error
	for err == nil {
		if _, _, err = refused.Next(nil); err == nil {
			err = refused.Fill()
		}
	}
	require.Equal(t, errMemory, err)
}

func TestReaderKeepsItsError(t *testing.T) {
	r := NewReader(strings.NewReader("*x\r\n*1\r\n$4\r\nPING\r\n"), tiny, nil)
	require.NoError(t, r.Fill())
	for range 3 {
		_, ok, err := r.Next(nil)
		require.False(t, ok)
		require.Equal(t, errArgs, err)
		require.Equal(t, errArgs, r.Fill())
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "*0\r\n*-1\r\nPING\r\n\r\n", "*1\r\n$101\r\n", "*1\r\n$-0\r\n", "*00\r\n",
		`a "b\x41\n" 'c\'' d"e"` + "\r\n", `"\x4"` + "\n", "*99999999999999999999\r\n", "*1\r\n$3\r\nabcd\r\n", "a\rb\nc\x00d\n",
	} {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, split uint16) {
		ref := reference{r: bufio.NewReader(bytes.NewReader(in)), limits: tiny}
		var want [][]string
		var stop error
		for stop == nil {
			var c []string
			if c, stop = ref.next(); stop == nil {
				want = append(want, c)
			}
		}
		cut := min(int(split), len(in))
		got, err := readAll(io.MultiReader(bytes.NewReader(in[:cut]), bytes.NewReader(in[cut:])), tiny, true)
		require.Equal(t, want, got)
		if stop == errIncomplete {
			var p *ProtocolError
			if errors.As(err, &p) {
				require.Contains(t, []error{errArgsText, errBulkText, errCommand, errInline}, err)
			}
			return
		}
		var p *ProtocolError
		require.ErrorAs(t, err, &p, "the reference says %v", stop)
	})
}

// endless repeats a pipeline.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

func pipelineOfSets() []byte {
	var b bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&b, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$128\r\n%s\r\n", i, strings.Repeat("v", 128))
	}
	return b.Bytes()
}

func TestReaderAllocatesNothingForACommand(t *testing.T) {
	r := NewReader(&endless{b: pipelineOfSets()}, LimitsDefault, nil)
	r.Trust(LimitsDefault)
	var args [][]byte
	read := func() {
		var ok bool
		for !ok {
			if args, ok, _ = r.Next(args[:0]); !ok {
				_ = r.Fill()
			}
		}
	}
	for range 10_000 {
		read()
	}
	require.Zero(t, testing.AllocsPerRun(10_000, read))
}

func BenchmarkReader(b *testing.B) {
	in := pipelineOfSets()
	r := NewReader(&endless{b: in}, LimitsDefault, nil)
	r.Trust(LimitsDefault)
	var args [][]byte
	b.SetBytes(int64(len(in) / 1000))
	b.ReportAllocs()
	for b.Loop() {
		for ok := false; !ok; {
			if args, ok, _ = r.Next(args[:0]); !ok {
				_ = r.Fill()
			}
		}
	}
}
