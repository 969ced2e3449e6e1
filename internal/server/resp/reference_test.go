package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// reference reads commands the plain way: whole lines and whole arguments from a
// buffered reader, copied, with the library's conversions. It is what Reader is
// compared with.
type reference struct {
	r      *bufio.Reader
	limits Limits
	size   int // bytes of the command in progress
}

var errIncomplete = errors.New("incomplete")

// next returns the next command, a *ProtocolError, or errIncomplete.
func (f *reference) next() ([]string, error) {
	for {
		f.size = 0
		first, err := f.r.Peek(1)
		if err != nil {
			return nil, errIncomplete
		}
		if first[0] != '*' {
			args, err := f.inline()
			if err != nil || len(args) > 0 {
				return args, err
			}
			continue
		}
		n, err := f.number()
		if err != nil {
			return nil, err
		}
		if n == nil || n.Cmp(big.NewInt(int64(f.limits.ArgsMax))) > 0 {
			return nil, errArgs
		}
		if n.Sign() <= 0 {
			continue
		}
		return f.array(int(n.Int64()))
	}
}

func (f *reference) array(n int) (args []string, err error) {
	for range n {
		mark, err := f.r.Peek(1)
		if err != nil {
			return nil, errIncomplete
		}
		if mark[0] != '$' {
			return nil, fmt.Errorf("expected '$'")
		}
		length, err := f.number()
		if err != nil {
			return nil, err
		}
		if length == nil || length.Sign() < 0 || length.Cmp(big.NewInt(int64(f.limits.BulkBytesMax))) > 0 {
			return nil, errBulk
		}
		if f.size += int(length.Int64()) + 2; f.size > f.limits.CommandBytesMax {
			return nil, errCommand
		}
		b := make([]byte, length.Int64()+2)
		if _, err := io.ReadFull(f.r, b); err != nil {
			return nil, errIncomplete
		}
		arg, ok := bytes.CutSuffix(b, []byte("\r\n"))
		if !ok {
			return nil, errEnd
		}
		args = append(args, string(arg))
	}
	return args, nil
}

// number reads a mark, a number and a line end; nil if what stands there is none.
func (f *reference) number() (*big.Int, error) {
	_, _ = f.r.Discard(1)
	text, err := f.r.ReadString('\r')
	if len(strings.TrimSuffix(text, "\r")) > lengthBytesMax {
		return nil, errBulkText
	}
	end, err2 := f.r.ReadByte()
	if err != nil || err2 != nil {
		return nil, errIncomplete
	}
	f.size += 1 + len(text) + 1
	text = strings.TrimSuffix(text, "\r")
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || end != '\n' || n.String() != text || !n.IsInt64() {
		return nil, nil
	}
	return n, nil
}

func (f *reference) inline() ([]string, error) {
	line, err := f.r.ReadString('\n')
	if len(line) > InlineBytesMax+1 || err != nil && len(line) > InlineBytesMax {
		return nil, errInline
	}
	if err != nil {
		return nil, errIncomplete
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	args, ok := words(line)
	if !ok {
		return nil, errQuotes
	}
	if len(args) > f.limits.ArgsMax {
		return nil, errArgs
	}
	return args, nil
}

// words splits a line by a machine of states.
func words(line string) (args []string, ok bool) {
	const blank, bare, single, double, closed = 0, 1, 2, 3, 4
	state, word := blank, []byte{}
	for i := 0; i < len(line); i++ {
		c, white := line[i], strings.IndexByte(" \t\n\v\f\r", line[i]) >= 0
		var escape string
		switch {
		case state == closed && !white:
			return nil, false
		case (state == bare || state == closed) && white:
			args, word, state = append(args, string(word)), word[:0], blank
		case state == blank && white:
		case state <= bare && c == '"':
			state = double
		case state <= bare && c == '\'':
			state = single
		case state == single && c == '\'', state == double && c == '"':
			state = closed
		case state == single && strings.HasPrefix(line[i:], `\'`):
			word, i = append(word, '\''), i+1
		case state == double && hexEscape(line[i:], &escape):
			word, i = append(word, escape...), i+3
		case state == double && c == '\\' && i+1 < len(line):
			i++
			if r, ok := map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', 'b': '\b', 'a': '\a'}[line[i]]; ok {
				word = append(word, r)
			} else {
				word = append(word, line[i])
			}
		default:
			word = append(word, c)
			if state == blank {
				state = bare
			}
		}
	}
	switch state {
	case single, double:
		return nil, false
	case bare, closed:
		args = append(args, string(word))
	}
	return args, true
}

func hexEscape(s string, to *string) bool {
	if len(s) < 4 || s[:2] != `\x` {
		return false
	}
	c, err := strconv.ParseUint(s[2:4], 16, 8)
	*to = string([]byte{byte(c)})
	return err == nil
}
