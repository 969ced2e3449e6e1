package strict

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// From says who gave a value.
type From uint8

// Who may give a value, the weakest first.
const (
	Default From = iota
	File
	Env
	Flag
)

// Origin says where a value comes from.
type Origin struct {
	From         From
	Name         string // of the file, the variable or the flag
	Line, Column int    // in a file, from 1, in characters; 0: all of it
}

func (o Origin) String() string {
	switch {
	case o.From == Default:
		return "default"
	case o.Line == 0:
		return o.Name
	}
	return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
}

// Finding is something in a configuration that its author should know.
type Finding struct {
	At   Origin
	Path string // of the key, as in topology.sync; empty for the whole
	Why  string // and what would be right

	line string // of the file, without secrets
}

// Error is the finding in one line.
func (f Finding) Error() string {
	var parts []string
	if f.At.From != Default {
		parts = append(parts, f.At.String())
	}
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	return strings.Join(append(parts, f.Why), ": ")
}

// Excerpt is the line of the file with a caret under the place, in two lines
// that a terminal does not obey; empty where there is none.
func (f Finding) Excerpt() string {
	if strings.TrimSpace(f.line) == "" {
		return ""
	}
	number := strconv.Itoa(f.At.Line)
	line, column := f.window()
	caret := strings.Repeat(" ", max(column-1, 0)) + "^"
	return fmt.Sprintf("%6s | %s\n%6s | %s\n", number, line, "", caret)
}

// window is the part of the line around the column, and the column in it.
func (f Finding) window() (string, int) {
	runes := []rune(f.line)
	column := min(f.At.Column, len(runes)+1)
	if first := column - excerptRunesMax*3/4; first > 0 {
		runes, column = runes[first:], column-first
	}
	runes = runes[:min(len(runes), excerptRunesMax)]
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '�'
		}
	}
	return string(runes), column
}

// Refused is the error of a configuration that is not taken: all that is wrong
// with it, in the order of the file.
type Refused struct{ Findings []Finding }

// Error is every finding, in a line each.
func (r *Refused) Error() string {
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// Report is every finding with the line it is about.
func (r *Refused) Report() string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.Error() + "\n" + f.Excerpt())
	}
	return b.String()
}

// refuse returns the error of findings, nil if there are none. It keeps them
// short: a file that is wrong throughout is no configuration.
func refuse(fs []Finding) error {
	if len(fs) == 0 {
		return nil
	}
	if more := len(fs) - findingsMax; more > 0 {
		fs = append(fs[:findingsMax:findingsMax], Finding{At: Origin{From: File, Name: fs[0].At.Name}, Why: fmt.Sprintf("and %d more", more)})
	}
	return &Refused{Findings: fs}
}
