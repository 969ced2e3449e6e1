package kind

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/record"
)

// names are the kinds that a table may have, as configurations spell them.
var names = [...]string{
	record.KindAny: "any", record.KindBytes: "bytes", record.KindRow: "row",
	record.KindCounter: "counter", record.KindSet: "set", record.KindMap: "map",
	record.KindFlag: "flag", record.KindMax: "max", record.KindMin: "min", record.KindHLL: "hll",
}

// Known reports whether a table may be of kind k in this version.
func Known(k record.Kind) bool { return int(k) < len(names) && names[k] != "" }

// Joined reports whether a key of kind k is one cell in which what several writers did
// comes together, and not a value that one of them has put: a counter, a flag, the
// greatest or the least number, a sketch.
func Joined(k record.Kind) bool {
	switch k {
	case record.KindCounter, record.KindFlag, record.KindMax, record.KindMin, record.KindHLL:
		return true
	}
	return false
}

// Name returns what a configuration calls a kind.
func Name(k record.Kind) string {
	if Known(k) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Parse reads a kind as a configuration spells it.
func Parse(s string) (record.Kind, error) {
	for k, name := range names {
		if name == s && name != "" {
			return record.Kind(k), nil
		}
	}
	return 0, fmt.Errorf("kind %q: one of %s", s, Names())
}

// Names lists the kinds a table may have, for messages.
func Names() string {
	return strings.Join(slices.DeleteFunc(slices.Clone(names[:]), func(s string) bool { return s == "" }), ", ")
}
