package config

import (
	"fmt"
	"strings"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/topology"
)

// Links is the shape in which sites are linked, in a file: mesh, ring, star (us), or
// list (us/eu, eu/ap).
type Links struct{ multileader.Links }

// TypeName is what docs call the type.
func (l Links) TypeName() string { return "links" }

const linksRead = "links read mesh, ring, star (us) or list (us/eu, eu/ap)"

// UnmarshalText reads a shape; the error knows the place in the text.
func (l *Links) UnmarshalText(b []byte) error {
	text := strings.TrimRight(string(b), " ")
	word, rest := text, ""
	if i := strings.IndexAny(text, " ("); i >= 0 {
		word, rest = text[:i], text[i:]
	}
	shapes := []multileader.Shape{multileader.Mesh, multileader.Ring, multileader.Star, multileader.List}
	for _, s := range shapes {
		if s.String() == word {
			l.Shape = s
			return l.names(rest, len(word))
		}
	}
	words := make([]string, len(shapes))
	for i, s := range shapes {
		words[i] = s.String()
	}
	why := fmt.Sprintf("%.64q is none of %s; %s", word, strings.Join(words, ", "), linksRead)
	if near := strict.Nearest(word, words); near != "" {
		why += "; did you mean " + near + "?"
	}
	return offset(0, "%s", why)
}

func offset(at int, format string, args ...any) error {
	return &strict.OffsetError{Offset: at, Err: fmt.Errorf(format, args...)}
}

// names reads what stands behind the word, which begins at an offset.
func (l *Links) names(text string, at int) error {
	inner := strings.TrimLeft(text, " ")
	at += len(text) - len(inner)
	wants := l.Shape == multileader.Star || l.Shape == multileader.List
	switch {
	case inner == "" && !wants:
		return nil
	case !wants:
		return offset(at, "%v takes no names; %s", l.Shape, linksRead)
	case !strings.HasPrefix(inner, "(") || !strings.HasSuffix(inner, ")"):
		return offset(at, "names in parentheses are missing; %s", linksRead)
	}
	at++
	for item := range strings.SplitSeq(inner[1:len(inner)-1], ",") {
		if err := l.name(strings.TrimSpace(item), at+len(item)-len(strings.TrimLeft(item, " "))); err != nil {
			return err
		}
		at += len(item) + 1
	}
	return nil
}

// name reads the hub of a star, or one link of a list.
func (l *Links) name(item string, at int) error {
	if l.Shape == multileader.Star {
		switch {
		case l.Hub != "":
			return offset(at, "a star has one hub, and %s was named", l.Hub)
		case !topology.NodeID(item).Valid():
			return offset(at, "%.70q is not the name of a site; %s", item, linksRead)
		}
		l.Hub = item
		return nil
	}
	from, to, ok := strings.Cut(item, "/")
	if !ok || !topology.NodeID(from).Valid() || !topology.NodeID(to).Valid() {
		return offset(at, "%.140q is not the names of two sites, as in us/eu; %s", item, linksRead)
	}
	l.Pairs = append(l.Pairs, [2]string{from, to})
	return nil
}

// MarshalText spells a shape.
func (l Links) MarshalText() ([]byte, error) {
	switch l.Shape {
	case multileader.Star:
		return []byte("star (" + l.Hub + ")"), nil
	case multileader.List:
		var ps []string
		for _, p := range l.Pairs {
			ps = append(ps, p[0]+"/"+p[1])
		}
		return []byte("list (" + strings.Join(ps, ", ") + ")"), nil
	}
	return []byte(l.Shape.String()), nil
}

func (l Links) String() string {
	b, _ := l.MarshalText() // it never fails
	return string(b)
}

// sites are those that a shape names, in its order.
func (l Links) sites() (names []string) {
	if l.Hub != "" {
		names = append(names, l.Hub)
	}
	for _, p := range l.Pairs {
		names = append(names, p[0], p[1])
	}
	return names
}
