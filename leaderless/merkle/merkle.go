package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/triad-kv/triad/record"
)

const (
	// Fan is how many children a node has.
	Fan = 8
	// LeavesMax is about how many leaves all trees of a node have between them, at 8
	// bytes each, and a seventh more for the nodes above.
	LeavesMax = 1 << 21

	depthMin, depthMax = 1, 5
)

// DepthOf returns how many levels a tree has below its root where keys are spread over so
// many partitions. Replicas have the same number of partitions, and so the same trees.
func DepthOf(partitions int) int {
	depth, leaves := depthMax, 1<<(3*depthMax)
	for depth > depthMin && leaves*partitions > LeavesMax {
		depth, leaves = depth-1, leaves/Fan
	}
	return depth
}

// Tree is the sums of one partition. It is not safe for use by several goroutines.
type Tree struct {
	levels [][]uint64 // the root first, the leaves last
}

// New returns the tree of nothing, of so many levels below the root.
func New(depth int) *Tree {
	t := &Tree{}
	for n := 1; len(t.levels) <= depth; n *= Fan {
		t.levels = append(t.levels, make([]uint64, n))
	}
	return t
}

// Depth returns how many levels are below the root.
func (t *Tree) Depth() int { return len(t.levels) - 1 }

// Width returns how many nodes a level has; the root's is 0.
func (t *Tree) Width(level int) int { return len(t.levels[level]) }

// Root returns the sum of everything.
func (t *Tree) Root() uint64 { return t.levels[0][0] }

// At returns the sum of a node.
func (t *Tree) At(level, node int) uint64 { return t.levels[level][node] }

// Leaves returns the sums of the leaves, which are the tree's own: read only.
func (t *Tree) Leaves() []uint64 { return t.levels[len(t.levels)-1] }

// Leaf returns the leaf of a key.
func (t *Tree) Leaf(table record.TableID, key []byte) int {
	h := uint64(crc32.Update(uint32(table), castagnoli, key))<<32 | uint64(uint32(table)) //nolint:gosec // only its bits count
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return int(h>>40) % len(t.Leaves()) //nolint:gosec // 24 bits
}

// Add adds to a leaf, and to all above it: the sum of what came, less that of what went.
func (t *Tree) Add(leaf int, delta uint64) {
	if delta == 0 {
		return
	}
	for i := len(t.levels) - 1; i >= 0; i-- {
		t.levels[i][leaf] += delta
		leaf /= Fan
	}
}

// Clone returns a copy that shares nothing with t.
func (t *Tree) Clone() *Tree {
	c := New(t.Depth())
	for i := range t.levels {
		copy(c.levels[i], t.levels[i])
	}
	return c
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Summer makes sums. It is not safe for use by several goroutines.
type Summer struct{ b []byte }

// Sum returns the sum of what a cell holds for good, zero if that is nothing: versions
// that say absent are left out.
func (s *Summer) Sum(c *record.Cell, vs []record.Version) uint64 { return s.sum(c, vs, false) }

// All returns the sum of all that a cell holds, versions that say absent among it; zero
// if that is nothing.
func (s *Summer) All(c *record.Cell, vs []record.Version) uint64 { return s.sum(c, vs, true) }

// The sum of a cell is the first eight bytes of the SHA-256 of these, numbers
// little-endian:
//
//	table 4, length of the key 4, key, length of the field 4, field; then of each
//	version: origin 4, incarnation 4, seq 8, time 8, expires 8, kind 1, absent 1,
//	length of the value 4, its CRC-32C 4
//
// Keys are chosen by clients: with a weaker hash one of them could make differences
// that cancel each other out.
func (s *Summer) sum(c *record.Cell, vs []record.Version, absent bool) uint64 {
	b := s.b[:0]
	for i := range vs {
		v := &vs[i]
		if v.Absent && !absent {
			continue
		}
		if len(b) == 0 {
			b = binary.LittleEndian.AppendUint32(b, uint32(c.Table))
			b = binary.LittleEndian.AppendUint32(b, uint32(len(c.Key))) //nolint:gosec // bounded by record.KeyBytesMax
			b = append(b, c.Key...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(c.Field))) //nolint:gosec // bounded by record.FieldBytesMax
			b = append(b, c.Field...)
		}
		b = binary.LittleEndian.AppendUint32(b, v.Origin.ID)
		b = binary.LittleEndian.AppendUint32(b, v.Origin.Incarnation)
		b = binary.LittleEndian.AppendUint64(b, v.Seq)
		b = binary.LittleEndian.AppendUint64(b, uint64(v.Time))
		b = binary.LittleEndian.AppendUint64(b, uint64(v.Expires))
		b = append(b, byte(v.Kind), 0)
		if v.Absent {
			b[len(b)-1] = 1
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v.Value))) //nolint:gosec // bounded by record.ValueBytesMax
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(v.Value, castagnoli))
	}
	s.b = b
	if len(b) == 0 {
		return 0
	}
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}
