package home

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// The identity is a msgpack array of seven:
//
//	0  format     uint, 1
//	1  cluster    str, the cluster's name
//	2  id         bin, the cluster's id: 16 bytes, or none while it is not known
//	3  node       str
//	4  life       uint, random
//	5  places     array of str, sorted: directories that were given out
//	6  documents  array of str, sorted: names that were saved
const identityFormat = 1

const identityFields = 7

type identity struct {
	cluster   string
	id        [16]byte
	known     bool // id is
	node      topology.NodeID
	life      uint64
	places    []string
	documents []string
}

func (i *identity) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(identityFields)
	w.Uint(identityFormat)
	w.Str(i.cluster)
	if i.known {
		w.Bin(i.id[:])
	} else {
		w.Bin(nil)
	}
	w.Str(string(i.node))
	w.Uint(i.life)
	for _, names := range [][]string{i.places, i.documents} {
		w.Array(len(names))
		for _, n := range names {
			w.Str(n)
		}
	}
	return w.Bytes()
}

func decodeIdentity(b []byte) (identity, error) {
	r, err := readBody(b, identityFormat, identityFields)
	if err != nil {
		return identity{}, err
	}
	i := identity{cluster: r.StrMax(nameBytesMax)}
	if id := r.BinMax(len(i.id)); len(id) != 0 {
		if copy(i.id[:], id) != len(i.id) {
			r.Fail("cluster id is not of 16 bytes")
		}
		i.known = true
	}
	i.node = topology.NodeID(r.StrMax(nameBytesMax))
	i.life = r.Uint()
	i.places = readNames(&r, PlacesMax)
	i.documents = readNames(&r, DocumentsMax)
	return i, r.Done()
}

func readNames(r *pack.Reader, most int) []string {
	var names []string
	for n := r.ArrayMax(most); n > 0 && r.Err() == nil; n-- {
		names = append(names, r.StrMax(nameBytesMax))
	}
	if !slices.IsSorted(names) {
		r.Fail("names are not sorted")
	}
	return names
}

// clone returns a copy that can be changed without changing i.
func (i *identity) clone() identity {
	c := *i
	c.places, c.documents = slices.Clone(i.places), slices.Clone(i.documents)
	return c
}

// insert adds name to sorted names; false if it was there.
func insert(names []string, name string) ([]string, bool) {
	at, there := slices.BinarySearch(names, name)
	if there {
		return names, false
	}
	return slices.Insert(names, at, name), true
}

// readIdentity returns the directory's identity. None is fs.ErrNotExist; every
// other failure is a Refusal.
func (h opening) readIdentity() (identity, error) {
	body, err := readSealed(h.disk, h.path(identityName), magicIdentity)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, err
	}
	var i identity
	if err == nil {
		i, err = decodeIdentity(body)
	}
	var newer *newerError
	switch {
	case err == nil:
		return i, nil
	case errors.As(err, &newer):
		return identity{}, h.refuse(ErrNewer, "identity: "+err.Error(), "run the version that wrote it, or a newer one")
	}
	return identity{}, h.refuse(ErrCorrupt, "identity: "+err.Error(),
		"keep it for inspection, and let this node join again with a new, empty directory")
}

// admit compares what stands in the directory with what was asked for.
func (h opening) admit(i *identity, o *Options) error {
	const remedy = "start the node it belongs to, or give this one a directory of its own"
	if i.cluster != o.Cluster {
		return h.refuse(ErrForeign, fmt.Sprintf("it is of cluster %q, not %q", i.cluster, o.Cluster), remedy)
	}
	if i.node != o.Node {
		return h.refuse(ErrForeign, fmt.Sprintf("it is of node %q, not %q", i.node, o.Node), remedy)
	}
	return nil
}

func newLife() uint64 {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if life := binary.LittleEndian.Uint64(b[:]); life != 0 {
			return life
		}
	}
}

// ClusterName returns the name of the cluster the directory belongs to.
func (h *Home) ClusterName() string { return h.snapshot().cluster }

// Life returns the number that names the directory (C1).
func (h *Home) Life() uint64 { return h.snapshot().life }

// Node returns the node the directory belongs to.
func (h *Home) Node() topology.NodeID { return h.snapshot().node }

// Cluster returns the cluster's id, once it is known.
func (h *Home) Cluster() (id [16]byte, known bool) {
	i := h.snapshot()
	return i.id, i.known
}

// Adopt makes id the cluster's id, durably, for good. Where another one is
// known already it is ErrForeign, and nothing changes.
func (h *Home) Adopt(id [16]byte) error {
	if id == ([16]byte{}) {
		return fmt.Errorf("data directory %s: a cluster id of zeros names no cluster: %w", h.dir, topology.ErrMalformed)
	}
	return h.change(func(i *identity) (bool, error) {
		switch {
		case i.known && i.id == id:
			return false, nil
		case i.known:
			return false, h.refuse(ErrForeign, fmt.Sprintf("it is of cluster %x, not %x", i.id, id),
				"two clusters have one name: check the addresses of the members")
		}
		i.id, i.known = id, true
		return true, nil
	})
}

// Mint gives the cluster a fresh random id if none is known, durably, and
// returns the id, and whether it was drawn now.
func (h *Home) Mint() (id [16]byte, drawn bool, err error) {
	err = h.change(func(i *identity) (bool, error) {
		if i.known {
			id = i.id
			return false, nil
		}
		_, _ = rand.Read(id[:]) // never fails
		i.id, i.known, drawn = id, true, true
		return true, nil
	})
	return id, drawn, err
}

// change replaces the identity by what f makes of a copy of it, durably before
// it returns.
func (h *Home) change(f func(*identity) (changed bool, err error)) error {
	if err := h.enter(); err != nil {
		return err
	}
	defer h.leave()
	return h.changeEntered(f)
}

func (h *Home) changeEntered(f func(*identity) (bool, error)) error {
	now := h.snapshot()
	next := now.clone()
	changed, err := f(&next)
	if err != nil || !changed {
		return err
	}
	b := seal(magicIdentity, next.encode())
	if err := h.spare.with(func() error { return replace(h.disk, h.dir, identityName, b) }); err != nil {
		return h.fail("identity", err)
	}
	h.mu.Lock()
	h.identity = next
	h.mu.Unlock()
	return nil
}

func (h *Home) snapshot() identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identity
}
