// Package grid prints rows of text in aligned columns, as the command and the
// demo show them: a header in upper case, two spaces between columns, numbers to
// the right, nothing else. What a cell holds may be anybody's bytes: whatever a
// terminal would obey is escaped (bad input 119).
package grid

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Table is what is printed.
type Table struct {
	Header []string
	Rows   [][]string
	Indent string // in front of every line
}

// Write prints t. A column whose cells are all numbers stands to the right; an
// empty cell is a dash.
func (t Table) Write(w io.Writer) error {
	p := table.NewWriter()
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Format.Header = text.FormatUpper
	p.SetStyle(s)
	p.SuppressTrailingSpaces()
	p.AppendHeader(row(t.Header))
	columns := make([]table.ColumnConfig, len(t.Header))
	for i := range columns {
		columns[i].Number = i + 1
		if t.numbers(i) {
			columns[i].Align, columns[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	p.SetColumnConfigs(columns)
	for _, r := range t.Rows {
		p.AppendRow(row(r))
	}
	for line := range strings.Lines(p.Render() + "\n") {
		if _, err := fmt.Fprint(w, t.Indent, line); err != nil {
			return err
		}
	}
	return nil
}

func (t Table) numbers(column int) bool {
	any := false
	for _, r := range t.Rows {
		if column >= len(r) || r[column] == "" {
			continue
		}
		if c := r[column][0]; c < '0' || c > '9' {
			return false
		}
		if strings.ContainsAny(r[column], ":/") { // an address, a path
			return false
		}
		any = true
	}
	return any
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		r[i] = Plain(c)
	}
	return r
}

// Plain returns s with everything escaped that is not printable text.
func Plain(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String()
}

// Bytes prints a number of bytes as a person reads it.
func Bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, names := float64(n)/unit, "KMGTPE"
	for f >= unit {
		f, names = f/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %ciB", f, names[0])
}
