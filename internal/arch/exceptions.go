package arch

import (
	"fmt"
	"strconv"
	"strings"
)

// exception excuses one subject from one rule, up to a size, for a reason.
//
// The file holds one a line: rule, subject, the size where the rule counts,
// then # and the reason.
//
//	size/file internal/x/y.go 512  # the table of all commands stands in one place
type exception struct {
	rule, subject string
	size          int
	line          int
}

// parseExceptions reads the list. A line without a reason is an error.
func parseExceptions(body string) ([]exception, error) {
	var list []exception
	for i, line := range strings.Split(body, "\n") {
		if s := strings.TrimSpace(line); s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		what, reason, _ := strings.Cut(line, " # ")
		fields := strings.Fields(what)
		if len(fields) < 2 || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("line %d: want “rule subject [size] # reason”", i+1)
		}
		e := exception{rule: fields[0], line: i + 1}
		fields = fields[1:]
		if strings.HasPrefix(e.rule, "size/") {
			n, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil || len(fields) < 2 {
				return nil, fmt.Errorf("line %d: %s needs a size", i+1, e.rule)
			}
			e.size, fields = n, fields[:len(fields)-1]
		}
		e.subject = strings.Join(fields, " ")
		list = append(list, e)
	}
	return list, nil
}

// excuse drops the findings that the list excuses and adds one for every entry
// that excuses nothing, or more than there is.
func excuse(found []finding, list []exception) []finding {
	var left []finding
	used := map[exception]int{}
	for _, f := range found {
		excused := false
		for _, e := range list {
			if e.rule == f.rule && e.subject == f.subject && f.size <= e.size {
				excused = true
				used[e] = max(used[e], f.size, 1)
			}
		}
		if !excused {
			left = append(left, f)
		}
	}
	for _, e := range list {
		at := fmt.Sprintf("exceptions.txt:%d", e.line)
		switch size, ok := used[e]; {
		case !ok:
			left = append(left, finding{rule: "exception", subject: e.rule + " " + e.subject, at: at, why: "is not needed, or is outgrown: take it out, or make the code smaller"})
		case size < e.size:
			left = append(left, finding{rule: "exception", subject: e.rule + " " + e.subject, at: at, why: fmt.Sprintf("%d is enough now", size)})
		}
	}
	return left
}
