package demo

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/triad-kv/triad/internal/demo/grid"
)

// ErrCheck is the ground of a demo in which a check did not hold.
var ErrCheck = errors.New("a check did not hold")

// teller prints what the demo tells. The first failure to print is kept, and
// nothing is printed after it: a demo nobody can read has not held.
type teller struct {
	w     io.Writer
	color bool
	err   error
}

const (
	bold  = "\x1b[1m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	dim   = "\x1b[2m"
	plain = "\x1b[0m"

	indent = "  "
)

func (t *teller) paint(style, s string) string {
	if !t.color {
		return s
	}
	return style + s + plain
}

func (t *teller) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

// phase heads a part of the tour.
func (t *teller) phase(n int, title string) {
	t.printf("\n%s\n", t.paint(bold, fmt.Sprintf("phase %d  %s", n, title)))
}

// title heads what is no phase.
func (t *teller) title(format string, args ...any) {
	t.printf("%s\n", t.paint(bold, fmt.Sprintf(format, args...)))
}

// line tells something that is no check.
func (t *teller) line(format string, args ...any) {
	t.printf("%s%s\n", indent, fmt.Sprintf(format, args...))
}

// note tells something that matters less.
func (t *teller) note(format string, args ...any) {
	t.printf("%s%s\n", indent, t.paint(dim, fmt.Sprintf(format, args...)))
}

// table tells rows.
func (t *teller) table(header []string, rows [][]string) {
	if t.err == nil {
		t.err = grid.Table{Header: header, Rows: rows, Indent: indent}.Write(t.w)
	}
}

// ok tells that a check held.
func (t *teller) ok(format string, args ...any) {
	t.printf("%s%s %s\n", indent, t.paint(green, "ok:"), fmt.Sprintf(format, args...))
}

// failed tells that a check did not hold, one line for each reason.
func (t *teller) failed(err error) {
	for line := range strings.Lines(err.Error()) {
		t.printf("%s%s %s\n", indent, t.paint(red, "FAILED:"), grid.Plain(strings.TrimRight(line, "\n")))
	}
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
