package main

import (
	"fmt"
	"os"
	"strings"
)

// The table in docs/testing.md stands between these.
const (
	tableBegin = "<!-- mutants: written by make mutants -->"
	tableEnd   = "<!-- mutants: end -->"
)

// table is what catches what.
func table(all []mutant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| rule | mutant | what it breaks | caught by |\n|---|---|---|---|\n")
	for _, m := range all {
		var by []string
		for _, args := range m.tests {
			rest, run := withoutRun(args)
			pkg := strings.TrimPrefix(strings.Join(rest, " "), "./")
			if run != "" {
				pkg += " `" + strings.NewReplacer("^", "", "$", "", "|", " or ").Replace(run) + "`"
			}
			by = append(by, pkg)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.rule, m.name, m.breaks, strings.Join(by, ", "))
	}
	return b.String()
}

// place returns text with what stands between the marks replaced by the table.
func place(text, table string) (string, error) {
	before, rest, found := strings.Cut(text, tableBegin+"\n")
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		return "", fmt.Errorf("the document has no place for the table: it stands between %q and %q", tableBegin, tableEnd)
	}
	return before + tableBegin + "\n\n" + table + "\n" + tableEnd + after, nil
}

// write brings the table of the document at path up to date.
func write(path string, all []mutant) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := place(string(b), table(all))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if text == string(b) {
		return nil
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
