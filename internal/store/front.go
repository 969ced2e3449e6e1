package store

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A front is the newest part of a generation: the cells that were applied and
// are not in Pebble yet. Pebble's own write buffer is a skip list, in which
// every cell costs a walk over cold memory, 2 to 5 µs, and every overwrite
// another entry that is written to disk and compacted away again. A front is a
// hash index over one run of bytes; an overwrite replaces what it overwrites.
// When it is full it goes to Pebble as one sorted batch, large enough that
// Pebble makes a table of it without the skip list.
//
// An entry stands in the arena as
//
//	 0  4  position of the next entry whose key has the same sum, plus one
//	 4  4  when it was last set: a count
//	 8  4  length of the physical key
//	12  4  of which without the field
//	16  4  length of the state, or removed, whole or dead
//	20  4  room for the state
//	24  .  physical key, state
//
// A whole entry says that every cell of the key that was set before it, here or
// deeper, is gone. A front has no lock; see layers.
//
// The arena is chunks of chunkBytes, so that it grows without being copied; an
// entry that is longer has one of its own. The position of an entry is the
// number of its chunk and, in the lower chunkBits, its place there.
type front struct {
	index  map[uint64]uint32 // sum of a physical key → its first entry, plus one
	arena  [][]byte
	bytes  int    // of the chunks' contents
	count  uint32 // of changes
	wholes int
	lsn    record.LSN // of the newest change
	dirty  bool       // lsn was moved
}

const (
	chunkBits  = 20
	chunkBytes = 1 << chunkBits

	entryBytes = 24
	stateSlack = 8 // numbers in a state grow: room for them spares a new entry

	lengthRemoved = 1<<32 - 1
	lengthWhole   = 1<<32 - 2
	lengthDead    = 1<<32 - 3 // replaced by another entry

	wholeSalt = 0x9E3779B97F4A7C15
)

var seed = maphash.MakeSeed()

func newFront() *front { return &front{index: map[uint64]uint32{}} }

// reset empties f and keeps the memory it has used, but for what large entries had.
func (f *front) reset() {
	kept := f.arena[:0]
	for _, c := range f.arena {
		if cap(c) == chunkBytes {
			kept = append(kept, c[:0])
		}
	}
	clear(f.arena[len(kept):])
	clear(f.index)
	*f = front{index: f.index, arena: kept[:0]}
}

// room returns n fresh bytes of the arena and their position.
func (f *front) room(n int) ([]byte, uint32) {
	last := len(f.arena) - 1
	if last < 0 || cap(f.arena[last])-len(f.arena[last]) < n {
		last++
		var c []byte
		if last < cap(f.arena) {
			c = f.arena[:last+1][last] // kept by reset, empty
		}
		if cap(c) < n {
			c = make([]byte, 0, max(n, chunkBytes))
		}
		f.arena = append(f.arena, c)
	}
	c := f.arena[last]
	at := len(c)
	f.arena[last] = c[:at+n]
	f.bytes += n
	return f.arena[last][at:], uint32(last)<<chunkBits | uint32(at)
}

// bytesAt returns the arena from a position on, to the end of its chunk.
func (f *front) bytesAt(pos uint32) []byte {
	return f.arena[pos>>chunkBits][pos&(chunkBytes-1):]
}

// apply takes edits in their order.
func (f *front) apply(lsn record.LSN, edits []topology.Edit) {
	f.lsn, f.dirty = lsn, true
	var buf [256]byte
	for i := range edits {
		e := &edits[i]
		c := e.Cell
		if e.Whole {
			c.Field = nil
		}
		key := appendCell(buf[:0], c)
		prefix := len(key) - len(c.Field)
		switch {
		case e.Whole:
			f.put(maphash.Bytes(seed, key)^wholeSalt, key, prefix, nil, lengthWhole)
		case e.State == nil:
			f.put(maphash.Bytes(seed, key), key, prefix, nil, lengthRemoved)
		default:
			f.put(maphash.Bytes(seed, key), key, prefix, e.State, uint32(len(e.State)))
		}
	}
}

func (f *front) put(sum uint64, key []byte, prefix int, state []byte, length uint32) {
	f.count++
	head := f.index[sum]
	if at := f.find(head, key, length == lengthWhole); at > 0 {
		e := f.bytesAt(at - 1)
		if len(state) <= int(binary.LittleEndian.Uint32(e[20:])) {
			binary.LittleEndian.PutUint32(e[4:], f.count)
			binary.LittleEndian.PutUint32(e[16:], length)
			copy(e[entryBytes+len(key):], state)
			return
		}
		binary.LittleEndian.PutUint32(e[16:], lengthDead)
	}
	if length == lengthWhole {
		f.wholes++
	}
	room := 0
	if len(state) > 0 {
		room = len(state) + stateSlack
	}
	e, at := f.room(entryBytes + len(key) + room)
	binary.LittleEndian.PutUint32(e[0:], head)
	binary.LittleEndian.PutUint32(e[4:], f.count)
	binary.LittleEndian.PutUint32(e[8:], uint32(len(key)))
	binary.LittleEndian.PutUint32(e[12:], uint32(prefix))
	binary.LittleEndian.PutUint32(e[16:], length)
	binary.LittleEndian.PutUint32(e[20:], uint32(room))
	copy(e[entryBytes:], key)
	copy(e[entryBytes+len(key):], state)
	f.index[sum] = at + 1
}

// find follows a chain from its head to the entry of a key, 0 if there is none.
func (f *front) find(at uint32, key []byte, whole bool) uint32 {
	for at > 0 {
		e := f.at(at - 1)
		if e.length != lengthDead && (e.length == lengthWhole) == whole && bytes.Equal(e.key, key) {
			return at
		}
		at = e.next
	}
	return 0
}

// entry is one entry of the arena, taken apart.
type entry struct {
	next, count, length uint32
	key                 []byte
	prefix              int
	state               []byte
	size                int
}

func (f *front) at(pos uint32) entry {
	b := f.bytesAt(pos)
	e := entry{
		next: binary.LittleEndian.Uint32(b), count: binary.LittleEndian.Uint32(b[4:]),
		prefix: int(binary.LittleEndian.Uint32(b[12:])), length: binary.LittleEndian.Uint32(b[16:]),
	}
	keyEnd := entryBytes + int(binary.LittleEndian.Uint32(b[8:]))
	e.key = b[entryBytes:keyEnd]
	e.size = keyEnd + int(binary.LittleEndian.Uint32(b[20:]))
	if e.length < lengthDead {
		e.state = b[keyEnd : keyEnd+int(e.length)]
	}
	return e
}

// get returns what a cell holds, nil for nothing, or false if f does not know.
// The state is valid until f changes.
func (f *front) get(key []byte, prefix int) (state []byte, known bool) {
	if len(f.index) == 0 {
		return nil, false
	}
	at := f.find(f.index[maphash.Bytes(seed, key)], key, false)
	if f.wholes > 0 && f.goneAt(key[:prefix]) > f.countAt(at) {
		return nil, true
	}
	if at == 0 {
		return nil, false
	}
	return f.at(at - 1).state, true
}

// goneAt is when all cells of a key were last removed at once, 0 for never.
func (f *front) goneAt(prefix []byte) uint32 {
	return f.countAt(f.find(f.index[maphash.Bytes(seed, prefix)^wholeSalt], prefix, true))
}

func (f *front) countAt(at uint32) uint32 {
	if at == 0 {
		return 0
	}
	return f.at(at - 1).count
}

// each calls yield with every entry that counts: the whole ones first, then the
// others in the order of their keys.
func (f *front) each(yield func(entry) error) error {
	type place struct {
		head uint64 // of the key behind its first byte and the table's number
		pos  uint32
	}
	places := make([]place, 0, len(f.index))
	for i, chunk := range f.arena {
		for off := 0; off < len(chunk); {
			pos := uint32(i)<<chunkBits | uint32(off)
			e := f.at(pos)
			switch {
			case e.length == lengthDead:
			case e.length == lengthWhole:
				if err := yield(e); err != nil {
					return err
				}
			case f.wholes > 0 && f.goneAt(e.key[:e.prefix]) > e.count:
			default:
				places = append(places, place{headOf(e.key), pos})
			}
			off += e.size
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.head < b.head {
			return -1
		}
		if a.head > b.head {
			return 1
		}
		return bytes.Compare(f.at(a.pos).key, f.at(b.pos).key)
	})
	for _, p := range places {
		if err := yield(f.at(p.pos)); err != nil {
			return err
		}
	}
	return nil
}

// headOf is what most keys differ in, as a number in the order of their bytes:
// the low half of the table and six bytes of the key. (Tables above 65,535 mix
// with those below. Nothing depends on the order but how fast it goes.)
func headOf(key []byte) uint64 {
	var b [8]byte
	copy(b[:], key[3:])
	return binary.BigEndian.Uint64(b[:])
}
