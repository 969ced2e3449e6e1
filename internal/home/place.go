package home

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/triad-kv/triad/record/pack"
)

// A place is marked by a file PLACE in it, a msgpack array of three:
//
//	0  format  uint, 1
//	1  life    uint, of the home it belongs to
//	2  name    str
const placeFormat = 1

func encodePlace(name string, life uint64) []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(placeFormat)
	w.Uint(life)
	w.Str(name)
	return w.Bytes()
}

func decodePlace(b []byte) (name string, life uint64, err error) {
	r, err := readBody(b, placeFormat, 3)
	if err != nil {
		return "", 0, err
	}
	life = r.Uint()
	name = r.StrMax(nameBytesMax)
	return name, life, r.Done()
}

// places are the directories that others keep their files in. Whoever uses them
// has the turn.
type places struct{ *Home }

// checkPlace refuses a place that is not the one that was made.
func (h places) checkPlace(name string, life uint64) error {
	body, err := readSealed(h.disk, h.path(name, placeName), magicPlace)
	if errors.Is(err, fs.ErrNotExist) {
		return h.refuse(ErrLost, fmt.Sprintf("%s is gone or empty, and was not before", h.path(name)),
			"mount its device, or restore it; if it is lost, let this node join again with a new, empty directory")
	}
	var found string
	var of uint64
	if err == nil {
		found, of, err = decodePlace(body)
	}
	switch {
	case err != nil:
		return h.refuse(ErrCorrupt, fmt.Sprintf("%s: %v", h.path(name, placeName), err), "keep it for inspection")
	case of != life || found != name:
		return h.refuse(ErrForeign, fmt.Sprintf("%s is the place %q of another data directory", h.path(name), found),
			"check what is mounted there")
	}
	return nil
}

// makePlace makes and marks a directory that is not there yet, or holds nothing.
func (h places) makePlace(name string, life uint64) error {
	at := h.path(name)
	if err := makeDir(h.disk, at); err != nil {
		return h.refuseWrite(err)
	}
	names, err := h.disk.List(at)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", h.dir, err)
	}
	for _, n := range names {
		// A mark of ours is left over from an Open that came no further.
		if n != placeName && n != placeName+temporarySuffix && n != "lost+found" {
			return h.refuse(ErrForeign, fmt.Sprintf("%s holds %q, which this node did not put there", at, n), "move it away")
		}
	}
	if err := replace(h.disk, at, placeName, seal(magicPlace, encodePlace(name, life))); err != nil {
		return h.fail("place "+name, err)
	}
	return nil
}
