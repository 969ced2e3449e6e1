// Package strict reads YAML that people write into structs, and forgives
// nothing: a key it does not know, a key that stands twice, a value of another
// type and a form that a configuration does not need are each reported with
// file, line, column, the line itself and what would be right. It knows nothing
// of Triad.
//
// The library (goccy/go-yaml) reads text into a tree with positions; what
// becomes of the tree is decided here, because three things are wanted that no
// decoder gives at once: every fault of a file and not the first alone, the place
// of every value for checks that come later, and one way in for a value whether
// a file, the environment or a flag gave it.
//
// What always holds:
//
//  1. A file is read within limits that are checked before anything recurses or
//     grows: [FileBytesMax], [DepthMax], [TokensMax]. Anchors, aliases, merges, tags,
//     directives, block scalars and second documents are refused as such, so
//     that no text stands for more than its length.
//  2. Nothing panics, whatever the bytes are.
//  3. A struct is bound whole or a [Refused] is returned that holds a [Finding].
//  4. No finding shows what a secret key holds.
//
// # Structs
//
// A field's tag yaml gives its key, and default the text of the value that it has
// where nobody says another. A slice of structs one of whose fields is tagged
// ",key" is a mapping of names to those structs, in the order of the file; the
// field tagged "name,short" among them can be given alone, as in
//
//	members: {a: 127.0.0.1:7400, b: {addr: 127.0.0.1:7401, site: eu}}
//
// A type that implements encoding.TextUnmarshaler is given a scalar's text. A key
// tagged "name,secret" never stands in a file. An interface tagged ",inline" holds
// nil, or a pointer to a struct whose keys stand beside the others: it is set before a
// file is bound, and is how a section gets keys that its own package does not know.
package strict
