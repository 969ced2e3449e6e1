package topology

import "github.com/triad-kv/triad/record"

// Resolvers is an optional ability of an engine where several sites write: to settle
// the conflicts of a table as the table wants (rule M4).
type Resolvers interface {
	// Resolver returns how a table of that kind says which resolver it has, of which
	// named is a spelling: empty if it is the one that tables of that kind have anyway.
	// The digest is that of a function which not every node has, else nil. An error, which
	// wraps ErrUnsupported, says what there is.
	Resolver(kind record.Kind, named string) (canonical string, digest []byte, err error)
}
