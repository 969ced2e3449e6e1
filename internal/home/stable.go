package home

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A copy of a document is a msgpack array of four:
//
//	0  format    uint, 1
//	1  name      str
//	2  sequence  uint, one more at every Save
//	3  value     bin
//
// Save writes the copy a, syncs it, then does the same with b. So whatever a
// crash leaves, one copy is whole and holds the value before or after; and once
// Save has returned, both hold the same, and the loss of one loses nothing. A
// scheme that alternates would cost half, but there the loss of the newer copy
// looks like a torn write, and the older value comes back without a word.
const documentFormat = 1

var copies = [2]string{".a", ".b"}

type document struct {
	sequence uint64
	value    []byte
}

func encodeDocument(name string, d document) []byte {
	w := pack.NewWriter(make([]byte, 0, len(d.value)+len(name)+32))
	w.Array(4)
	w.Uint(documentFormat)
	w.Str(name)
	w.Uint(d.sequence)
	w.Bin(d.value)
	return w.Bytes()
}

func decodeDocument(b []byte, name string) (document, error) {
	r, err := readBody(b, documentFormat, 4)
	if err != nil {
		return document{}, err
	}
	if found := r.StrMax(nameBytesMax); r.Err() == nil && found != name {
		return document{}, fmt.Errorf("%w: it is of document %q", errSeal, found)
	}
	d := document{sequence: r.Uint(), value: r.BinMax(DocumentBytesMax)}
	if d.sequence == 0 {
		r.Fail("sequence 0")
	}
	return d, r.Done()
}

// validDocument reports whether name may name a document: 1 to 100 of a-z, 0-9,
// '-', '.', '_' and '/', beginning with a letter.
func validDocument(name string) bool {
	if name == "" || len(name) > 100 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._/") == ""
}

// documents are the small documents. Whoever uses them has the turn.
type documents struct{ *Home }

// fileOf returns the file of a copy. A name has no '%', so no two names meet.
func (h documents) fileOf(name string, which int) string {
	return strings.ReplaceAll(name, "/", "%") + copies[which]
}

// Save makes value the durable value of name before it returns (H5). A name is
// 1 to 100 of a-z, 0-9, '-', '.', '_' and '/', beginning with a letter; a value
// has at most [DocumentBytesMax] bytes. When it fails, the value before or the
// one given may be found later.
func (h *Home) Save(name string, value []byte) error {
	if !validDocument(name) {
		return fmt.Errorf("document %q: not a name for one", name)
	}
	if len(value) > DocumentBytesMax {
		return fmt.Errorf("document %s: %d bytes are more than %d: %w", name, len(value), DocumentBytesMax, topology.ErrTooLarge)
	}
	if err := h.enter(); err != nil {
		return err
	}
	defer h.leave()
	i := h.snapshot()
	_, known := slices.BinarySearch(i.documents, name)
	if !known && len(i.documents) == DocumentsMax {
		return fmt.Errorf("document %s: there are %d already: %w", name, DocumentsMax, topology.ErrTooLarge)
	}
	last, err := documents{h}.load(name)
	if err != nil {
		return err
	}
	if err := (documents{h}).write(name, document{sequence: last.sequence + 1, value: value}, 0, 1); err != nil {
		return err
	}
	if !known { // the name is noted last: a name that is noted has been saved
		err = h.changeEntered(func(i *identity) (bool, error) {
			i.documents, _ = insert(i.documents, name)
			return true, nil
		})
	}
	if err == nil {
		h.spare.restock()
	}
	return err
}

// Load returns the value of name, nil if none was ever saved, and an empty one
// if that was saved. A value that was saved and cannot be read is ErrLost or
// ErrCorrupt. The slice is the caller's.
func (h *Home) Load(name string) ([]byte, error) {
	if !validDocument(name) {
		return nil, fmt.Errorf("document %q: not a name for one", name)
	}
	if err := h.enter(); err != nil {
		return nil, err
	}
	defer h.leave()
	d, err := documents{h}.load(name)
	if err == nil && d.sequence != 0 && d.value == nil {
		d.value = []byte{}
	}
	return d.value, err
}

// load reads both copies, returns the newer, and sees to it that both
// are the newer: else the loss of the only good one would bring an older value
// back after a newer one had been seen.
func (h documents) load(name string) (document, error) {
	var found [len(copies)]document
	var damage [len(copies)]error
	best := 0
	for which := range copies {
		d, err := h.readCopy(name, which)
		if err != nil && !damaged(err) {
			return document{}, h.unreadable(name, err)
		}
		found[which], damage[which] = d, err
		if d.sequence > found[best].sequence {
			best = which
		}
	}
	if found[best].sequence == 0 {
		return document{}, h.missing(name, damage)
	}
	for which := range copies {
		if found[which].sequence == found[best].sequence {
			continue
		}
		if damage[which] != nil {
			h.logger.Warn("a copy of a document could not be read and is written anew",
				"file", h.path(stableName, h.fileOf(name, which)), "err", damage[which])
		}
		if err := h.write(name, found[best], which); err != nil {
			return document{}, err
		}
	}
	return found[best], nil
}

// readCopy returns the zero document with every error.
func (h documents) readCopy(name string, which int) (document, error) {
	body, err := readSealed(h.disk, h.path(stableName, h.fileOf(name, which)), magicDocument)
	if err != nil {
		return document{}, err
	}
	d, err := decodeDocument(body, name)
	if err != nil {
		return document{}, err
	}
	return d, nil
}

// damaged reports whether err says that the copy is bad, not that something
// else kept it from being read: only then may it be written anew.
func damaged(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errSeal) ||
		errors.Is(err, pack.ErrMalformed) || errors.Is(err, syscall.EIO)
}

// unreadable is what Load returns if a copy is there, for all we know, but not
// for us.
func (h documents) unreadable(name string, err error) error {
	var newer *newerError
	if errors.As(err, &newer) {
		return h.refuse(ErrNewer, fmt.Sprintf("document %s: %v", name, err), "run the version that wrote it, or a newer one")
	}
	return fmt.Errorf("data directory %s: document %s: %w", h.dir, name, err)
}

// missing decides what it means that both copies are damaged.
func (h documents) missing(name string, damage [len(copies)]error) error {
	i := h.snapshot()
	if _, saved := slices.BinarySearch(i.documents, name); !saved {
		return nil // at most the torn beginning of a Save that never returned
	}
	reason := ErrCorrupt
	if errors.Is(damage[0], fs.ErrNotExist) && errors.Is(damage[1], fs.ErrNotExist) {
		reason = ErrLost
	}
	return h.refuse(reason, fmt.Sprintf("document %s was saved, and neither copy can be read (%v; %v)", name, damage[0], damage[1]),
		"keep the directory for inspection, and let this node join again with a new, empty one")
}

// write writes copies of d, each durable before the next is begun.
func (h documents) write(name string, d document, which ...int) error {
	dir := h.path(stableName)
	if err := h.spare.with(func() error { return makeDir(h.disk, dir) }); err != nil {
		return h.fail("document "+name, err)
	}
	b := seal(magicDocument, encodeDocument(name, d))
	for _, w := range which {
		if err := h.spare.with(func() error { return h.writeCopy(dir, h.fileOf(name, w), b) }); err != nil {
			return h.fail("document "+name, err)
		}
	}
	return nil
}

// writeCopy writes a copy in its place, or makes it, durably with its name.
func (h documents) writeCopy(dir, file string, b []byte) error {
	path := h.disk.PathJoin(dir, file)
	_, err := h.disk.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	isNew := err != nil
	f, err := h.disk.OpenReadWrite(path, writeCategory)
	if err != nil {
		return err
	}
	if err := writeSync(f, b); err != nil || !isNew {
		return err
	}
	return syncDir(h.disk, dir)
}
