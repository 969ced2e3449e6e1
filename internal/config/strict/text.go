package strict

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a file.
const (
	FileBytesMax = 256 << 10 // of the whole file
	DepthMax     = 12        // of mappings and lists in one another
	TokensMax    = 32 << 10  // words and signs: the parser's time grows with their square

	findingsMax     = 20  // that one reading reports
	excerptRunesMax = 160 // of one line that is shown
)

// source is the text of a file, in lines.
type source struct {
	name  string
	lines []string
}

// newSource checks what can be checked before a parser sees the text: size,
// encoding, characters that have no business in a configuration, tabs.
func newSource(name string, b []byte) (*source, []Finding) {
	s := &source{name: name}
	whole := func(format string, args ...any) (*source, []Finding) {
		return s, []Finding{{At: Origin{From: File, Name: name}, Why: fmt.Sprintf(format, args...)}}
	}
	switch {
	case len(b) > FileBytesMax:
		return whole("the file is longer than %d KiB, which no configuration is", FileBytesMax>>10)
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return whole("the file is UTF-16; save it as UTF-8")
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	s.lines = strings.Split(string(b), "\n")
	for i, line := range s.lines {
		if at, why := unreadable(line); why != "" {
			return s, []Finding{s.finding(i+1, at, "", "%s", why)}
		}
	}
	if strings.TrimSpace(string(b)) == "" {
		return whole("the file is empty")
	}
	return s, nil
}

// text is what the parser gets.
func (s *source) text() string { return strings.Join(s.lines, "\n") }

// unreadable returns the column, from 1, of the first character of a line that a
// configuration must not hold, and why.
func unreadable(line string) (column int, why string) {
	comment := false
	for i, r := range line {
		column++
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\ufffd"):
			return column, fmt.Sprintf("byte 0x%02x is not UTF-8", line[i])
		case r == '#' && (i == 0 || line[i-1] == ' '):
			comment = true
		case r == '\t' && !comment:
			return column, "a tab; YAML is indented with spaces"
		case r != '\t' && (unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'):
			return column, fmt.Sprintf("the control character %U", r)
		}
	}
	return 0, ""
}

// finding is one at a place of the file.
func (s *source) finding(line, column int, path, format string, args ...any) Finding {
	f := Finding{At: Origin{From: File, Name: s.name, Line: line, Column: column}, Path: path, Why: fmt.Sprintf(format, args...)}
	if line >= 1 && line <= len(s.lines) {
		f.line = hide(s.lines[line-1])
	}
	return f
}

// secrets matches a key whose value is not shown, and all that follows it.
var secrets = regexp.MustCompile(`(?i)\b([a-z0-9_-]*(?:passwor[dt]|passwd|secret|token))(["']?\s*:\s*)\S.*$`)

// hide takes secrets out of a line that is shown. It does so by the name of a key
// because a line may be wrong in any way.
func hide(line string) string { return secrets.ReplaceAllString(line, "$1$2"+Hidden) }

// Hidden stands where a secret is not shown.
const Hidden = "(hidden)"
