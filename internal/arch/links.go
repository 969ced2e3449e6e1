package arch

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var (
	inlineLink    = regexp.MustCompile(`\]\(<?([^)<>\s]+)>?(?:\s+"[^"]*")?\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s+<?([^<>\s]+)>?`)
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	codeSpan      = regexp.MustCompile("`+[^`]*`+")
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	htmlAnchor    = regexp.MustCompile(`<a\s+(?:name|id)="([^"]+)"`)
	lineAnchor    = regexp.MustCompile(`^L(\d+)(?:-L(\d+))?$`)
	headingLink   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// checkLinks follows every relative link of every .md, anchors included.
func checkLinks(t *tree) []finding {
	var fs []finding
	for _, doc := range t.texts {
		for i, line := range prose(doc.body) {
			for _, target := range targets(line) {
				if why := t.dead(doc.path, target); why != "" {
					fs = append(fs, finding{rule: "link", subject: doc.path + " " + target, at: fmt.Sprintf("%s:%d", doc.path, i+1), why: why})
				}
			}
		}
	}
	return fs
}

// prose returns the lines of a text with fenced code blanked, so that numbers hold.
func prose(body string) []string {
	lines := strings.Split(body, "\n")
	fence := ""
	for i, l := range lines {
		mark := strings.TrimLeft(l, " >")
		switch {
		case fence == "" && (strings.HasPrefix(mark, "```") || strings.HasPrefix(mark, "~~~")):
			fence, lines[i] = mark[:3], ""
		case fence != "":
			if strings.HasPrefix(mark, fence) {
				fence = ""
			}
			lines[i] = ""
		}
	}
	return lines
}

// targets returns the relative links of a line.
func targets(line string) []string {
	line = codeSpan.ReplaceAllString(line, "code")
	var out []string
	for _, m := range append(inlineLink.FindAllStringSubmatch(line, -1), referenceLink.FindAllStringSubmatch(line, -1)...) {
		if !scheme.MatchString(m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// dead says why a link of a document leads nowhere; empty if it is good.
func (t *tree) dead(from, target string) string {
	file, anchor, _ := strings.Cut(target, "#")
	p := from
	if file != "" {
		p = path.Join(path.Dir(from), file)
	}
	switch {
	case strings.HasPrefix(file, "/"):
		return "a link of the house is relative"
	case strings.HasPrefix(p, "../"):
		return "leads out of the house"
	}
	st, err := os.Stat(filepath.Join(t.root, filepath.FromSlash(p)))
	if err != nil {
		return "no such file"
	}
	if anchor == "" || st.IsDir() {
		return ""
	}
	b, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(p)))
	if err != nil {
		return err.Error()
	}
	if m := lineAnchor.FindStringSubmatch(anchor); m != nil {
		if n, _ := strconv.Atoi(m[1]); n <= strings.Count(string(b), "\n") {
			return ""
		}
		return "no such line"
	}
	if path.Ext(p) != ".md" || !anchors(string(b))[anchor] {
		return "no such heading"
	}
	return ""
}

// anchors returns the fragments under which a text can be entered, headings as
// GitHub makes them: lower case, blanks to hyphens, punctuation dropped, a
// number after what was there before.
func anchors(body string) map[string]bool {
	found := map[string]bool{}
	for _, l := range prose(body) {
		for _, m := range htmlAnchor.FindAllStringSubmatch(l, -1) {
			found[m[1]] = true
		}
		m := heading.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		s := slug(headingLink.ReplaceAllString(m[1], "$1"))
		for name, n := s, 1; ; n++ {
			if !found[name] {
				found[name] = true
				break
			}
			name = fmt.Sprintf("%s-%d", s, n)
		}
	}
	return found
}

func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			b.WriteRune(r)
		}
	}
	return b.String()
}
