package resp

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Answer is one answer of RESP2, understood.
type Answer struct {
	Fault string // of an error: its text
	Text  []byte // of anything but an array; it shares what was parsed
	Null  bool
	Parts []Answer
}

// Code is the first word of an error.
func (a Answer) Code() string {
	word, _, _ := strings.Cut(a.Fault, " ")
	return word
}

// String is the answer for people.
func (a Answer) String() string {
	switch {
	case a.Fault != "":
		return "-" + a.Fault
	case a.Null:
		return "null"
	case a.Parts != nil:
		return fmt.Sprint(a.Parts)
	}
	return string(a.Text)
}

// ParseAnswer understands an answer that [AppendAnswer] has found whole, nested depth
// deep at most, and returns what follows it. What is not of RESP2 is [ErrAnswer].
func ParseAnswer(b []byte, depth int) (a Answer, rest []byte, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(line) == 0 || depth == 0 {
		return a, nil, fmt.Errorf("%w: %.40q", ErrAnswer, b)
	}
	switch line[0] {
	case '-':
		a.Fault = string(line[1:])
		return a, rest, nil
	case '+', ':':
		a.Text = line[1:]
		return a, rest, nil
	case '$', '*':
	default:
		return a, nil, fmt.Errorf("%w: %.40q is not of RESP2", ErrAnswer, line)
	}
	n, err := strconv.Atoi(string(line[1:]))
	switch {
	case err != nil:
		return a, nil, fmt.Errorf("%w: its length: %w", ErrAnswer, err)
	case n < 0:
		a.Null = true
		return a, rest, nil
	case line[0] == '$' && len(rest) >= 2 && n <= len(rest)-2:
		a.Text = rest[:n]
		return a, rest[n+2:], nil
	case line[0] == '$':
		return a, nil, fmt.Errorf("%w: it ends early", ErrAnswer)
	}
	for range n {
		var p Answer
		if p, rest, err = ParseAnswer(rest, depth-1); err != nil {
			return a, nil, err
		}
		a.Parts = append(a.Parts, p)
	}
	return a, rest, nil
}
