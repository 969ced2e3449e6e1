package leaderless

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// trees are the sums of what the cells of each partition hold, brought forward with every
// entry that is applied. They are in the store, in the step in which the cells are: so a
// restart finds them where the store is, and what the log has beyond that moves both.
//
// What an entry changes is appended to a journal, 12 bytes a leaf, and the pages of a tree
// are written once three times as many bytes of journal were: 16 bytes a write in all. In
// the table of Triad's own that holds where the log stands:
//
//	key "tj", number in 8 bytes                      a group of entries: its changes
//	key "tp", partition in 4 bytes                   the head of a tree
//	key "tq", partition in 4 bytes, page in 4 bytes  leavesPage leaves, 8 bytes each, big-endian, and their CRC-32C
//
// The value of a group is its LSN in 8 bytes, then for each change partition 2, leaf 2,
// what the leaf has more 8, and in the end a CRC-32C in 4.
//
// A head is an array of five: format, 1; depth; the number of the journal up to which its
// pages are; the sum of all leaves there; and whether the tree is whole: made of all that
// the store holds, and not of what was written since it was begun.
//
// They belong to the loop.
type trees struct {
	partitions int
	depth      int
	of         map[int]*grown
	sums       merkle.Summer

	group  []byte // changes of the entries that are being applied
	number uint64 // of the newest group in the journal
	first  uint64 // the oldest one that is still there
	since  int    // bytes of journal since pages were last written
	turn   int    // partition whose pages were written last
	why    string // they are not whole: why; empty if they are
}

// grown is the tree of one partition.
type grown struct {
	*merkle.Tree
	pages  uint64 // the number of the journal up to which its pages are
	dirty  map[int]bool
	headed bool // there is a head in the store
}

const (
	treeFormat   = 1
	treeFields   = 5
	leavesPage   = 512
	changeBytes  = 12
	journalShare = 3    // bytes of journal for each byte of pages
	headBytes    = 64   // of a head, about
	droppedMax   = 1024 // groups dropped from the journal at once

	keyJournal = "tj"
	keyTree    = "tp"
	keyPage    = "tq"
)

func newTrees(partitions int) *trees {
	return &trees{partitions: partitions, depth: merkle.DepthOf(partitions), of: map[int]*grown{}, first: 1}
}

// tree returns that of a partition.
func (t *trees) tree(partition int) *grown {
	g := t.of[partition]
	if g == nil {
		g = &grown{Tree: merkle.New(t.depth), dirty: map[int]bool{}}
		t.of[partition] = g
	}
	return g
}

// root returns the sum of all that a partition holds.
func (t *trees) root(partition int) uint64 {
	if g := t.of[partition]; g != nil {
		return g.Root()
	}
	return 0
}

// sum returns the sum of a node of a tree.
func (t *trees) sum(n merkle.Node) uint64 {
	g := t.of[n.Partition]
	if g == nil || n.Level > t.depth || n.Index >= g.Width(n.Level) {
		return 0
	}
	return g.At(n.Level, n.Index)
}

// change notes what a cell held and holds, as sums.
func (t *trees) change(partition int, c *record.Cell, was, is uint64) {
	if was == is {
		return
	}
	g := t.tree(partition)
	t.add(partition, g, g.Leaf(c.Table, c.Key), is-was)
}

func (t *trees) add(partition int, g *grown, leaf int, delta uint64) {
	g.Add(leaf, delta)
	g.dirty[leaf/leavesPage] = true
	t.group = binary.BigEndian.AppendUint16(t.group, uint16(partition)) //nolint:gosec // bounded by PartitionsMax
	t.group = binary.BigEndian.AppendUint16(t.group, uint16(leaf))      //nolint:gosec // bounded by the depth
	t.group = binary.BigEndian.AppendUint64(t.group, delta)
}

func journalCell(n uint64) record.Cell {
	return originsCell(binary.BigEndian.AppendUint64([]byte(keyJournal), n))
}

func treeCell(p int) record.Cell {
	return originsCell(binary.BigEndian.AppendUint32([]byte(keyTree), uint32(p))) //nolint:gosec // bounded by PartitionsMax
}

func pageCell(p, page int) record.Cell {
	k := binary.BigEndian.AppendUint32([]byte(keyPage), uint32(p))     //nolint:gosec // bounded by PartitionsMax
	return originsCell(binary.BigEndian.AppendUint32(k, uint32(page))) //nolint:gosec // bounded by the depth
}

var sumTable = crc32.MakeTable(crc32.Castagnoli)

func sealed(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, sumTable)) }

// unsealed returns what was sealed, nil if it is not that any more.
func unsealed(b []byte) []byte {
	n := len(b) - 4
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], sumTable) {
		return nil
	}
	return b[:n]
}

// finish puts what the entries up to lsn have changed in the journal, and now and then
// pages of a tree in the place of it.
func (t *trees) finish(lsn record.LSN, put func(record.Cell, []byte), drop func(record.Cell)) {
	t.number++
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12+len(t.group)), uint64(lsn))
	b = sealed(append(b, t.group...))
	put(journalCell(t.number), b)
	t.since += len(b)
	t.group = t.group[:0]
	for p := range t.partitions {
		if g := t.of[p]; g != nil && !g.headed {
			t.write(p, g, put) // what the journal says of it begins with it
			g.headed = true
		}
	}
	for range t.partitions { // one at a time
		p := (t.turn + 1) % t.partitions
		if g := t.of[p]; g != nil {
			cost := journalShare * (len(g.dirty)*(8*leavesPage+4) + headBytes)
			if t.since < cost {
				break
			}
			t.turn, t.since = p, t.since-cost
			t.write(p, g, put)
			break
		}
		t.turn = p
	}
	keep := t.number - 1 // the newest says where all stand
	for _, g := range t.of {
		keep = min(keep, g.pages)
	}
	for n := 0; t.first <= keep && n < droppedMax; t.first, n = t.first+1, n+1 {
		drop(journalCell(t.first))
	}
}

// write writes what has changed of a tree.
func (t *trees) write(p int, g *grown, put func(record.Cell, []byte)) {
	leaves := g.Leaves()
	for page := range (len(leaves) + leavesPage - 1) / leavesPage {
		if !g.dirty[page] {
			continue
		}
		b := make([]byte, 0, 8*leavesPage+4)
		for _, sum := range leaves[page*leavesPage : min(len(leaves), (page+1)*leavesPage)] {
			b = binary.BigEndian.AppendUint64(b, sum)
		}
		put(pageCell(p, page), sealed(b))
	}
	clear(g.dirty)
	g.pages = t.number
	w := pack.NewWriter(nil)
	w.Array(treeFields)
	w.Uint(treeFormat)
	w.Uint(uint64(t.depth))
	w.Uint(t.number)
	w.Uint(g.Root())
	w.Bool(t.why == "")
	put(treeCell(p), w.Bytes())
}

// load reads the trees of a store that has applied the log up to lsn. What is not there,
// damaged, of another form or of another place in the log says so, and is left to be made
// again of the cells.
func (t *trees) load(view topology.Snapshot, lsn record.LSN) error {
	if lsn == 0 {
		return nil // nothing is held
	}
	why, err := t.read(view, lsn)
	if err != nil {
		return err
	}
	if why != "" {
		t.begin(view, why)
	}
	return nil
}

// begin begins anew, with trees that are not whole.
func (t *trees) begin(view topology.Snapshot, why string) {
	number, first := t.number, uint64(0)
	for e, err := range view.Scan(journalCell(0), originsCell([]byte(keyJournal+"\xff\xff\xff\xff\xff\xff\xff\xff\xff"))) {
		if err != nil || len(e.Key) != len(keyJournal)+8 {
			continue
		}
		n := binary.BigEndian.Uint64(e.Key[len(keyJournal):])
		if number = max(number, n); first == 0 {
			first = n
		}
	}
	if first == 0 {
		first = number + 1
	}
	*t = trees{partitions: t.partitions, depth: t.depth, of: map[int]*grown{}, number: number, first: first, why: why}
	for p := range t.partitions {
		g := t.tree(p)
		for page := range (len(g.Leaves()) + leavesPage - 1) / leavesPage {
			g.dirty[page] = true
		}
	}
}

// read reads what there is; why says what is wrong with it.
func (t *trees) read(view topology.Snapshot, lsn record.LSN) (why string, err error) {
	heads := false
	for p := range t.partitions {
		b, err := valueOf(view, treeCell(p))
		if err != nil {
			return "", err
		}
		if b == nil {
			continue
		}
		heads = true
		if why, err := t.readTree(view, p, b); why != "" || err != nil {
			return why, err
		}
	}
	at, n, why, err := t.replay(view)
	switch {
	case err != nil || why != "":
		return why, err
	case n == 0 && !heads:
		return "there are none yet", nil
	case at != lsn:
		return fmt.Sprintf("they are those of entry %d of the log, and the store is at entry %d", at, lsn), nil
	}
	return t.why, nil
}

// readTree reads the tree of one partition.
func (t *trees) readTree(view topology.Snapshot, p int, head []byte) (why string, err error) {
	r := pack.NewReader(head)
	r.ArrayOf(treeFields)
	if f := r.Uint(); r.Err() == nil && f != treeFormat {
		return fmt.Sprintf("the tree of partition %d has format %d, this version knows %d", p, f, treeFormat), nil
	}
	depth, pages, root, whole := r.Uint(), r.Uint(), r.Uint(), r.Bool()
	if r.Done() != nil || depth != uint64(t.depth) {
		return fmt.Sprintf("the tree of partition %d is of another form", p), nil
	}
	g := t.tree(p)
	g.pages, g.headed = pages, true
	for page := range (len(g.Leaves()) + leavesPage - 1) / leavesPage {
		b, err := valueOf(view, pageCell(p, page))
		if err != nil {
			return "", err
		}
		if b == nil {
			continue // nothing was ever in it
		}
		if b = unsealed(b); b == nil || len(b)%8 != 0 || page*leavesPage+len(b)/8 > len(g.Leaves()) {
			return fmt.Sprintf("page %d of the tree of partition %d is damaged", page, p), nil
		}
		for i := 0; len(b) > 0; i, b = i+1, b[8:] {
			g.Add(page*leavesPage+i, binary.BigEndian.Uint64(b))
		}
	}
	if g.Root() != root {
		return fmt.Sprintf("pages of the tree of partition %d are missing", p), nil
	}
	if !whole {
		t.why = "it was not whole yet when this node stopped"
	}
	return "", nil
}

// replay adds what the journal has beyond the pages, and returns where it ends.
func (t *trees) replay(view topology.Snapshot) (at record.LSN, groups int, why string, err error) {
	for e, err := range view.Scan(journalCell(0), originsCell([]byte(keyJournal+"\xff\xff\xff\xff\xff\xff\xff\xff\xff"))) {
		if err != nil {
			return 0, 0, "", err
		}
		var s record.State
		if err := record.DecodeState(e.State, &s); err != nil || len(s.Siblings) != 1 || len(e.Key) != len(keyJournal)+8 {
			return 0, 0, "the journal of the trees is damaged", nil //nolint:nilerr // it is made again
		}
		n := binary.BigEndian.Uint64(e.Key[len(keyJournal):])
		b := unsealed(s.Siblings[0].Value)
		switch {
		case len(b) < 8 || (len(b)-8)%changeBytes != 0:
			return 0, 0, fmt.Sprintf("group %d of the journal of the trees is damaged", n), nil
		case groups > 0 && n != t.number+1:
			return 0, 0, fmt.Sprintf("the journal of the trees lacks group %d", t.number+1), nil
		}
		if groups == 0 {
			t.first = n
		}
		groups, t.number, at = groups+1, n, record.LSN(binary.BigEndian.Uint64(b))
		for b = b[8:]; len(b) > 0; b = b[changeBytes:] {
			p, leaf := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
			g := t.of[p]
			if g == nil || leaf >= g.Width(t.depth) {
				return 0, 0, fmt.Sprintf("group %d of the journal of the trees is of a tree that is not there", n), nil
			}
			if n > g.pages {
				g.Add(leaf, binary.BigEndian.Uint64(b[4:]))
				g.dirty[leaf/leavesPage] = true
			}
		}
	}
	for p, g := range t.of {
		if g.pages > t.number || groups > 0 && g.pages+1 < t.first {
			return 0, 0, fmt.Sprintf("the journal of the trees begins behind the tree of partition %d", p), nil
		}
	}
	return at, groups, "", nil
}

// valueOf reads a cell of Triad's own, nil if it is not there.
func valueOf(view topology.Snapshot, c record.Cell) ([]byte, error) {
	b, err := view.Get(c)
	if err != nil || b == nil {
		return nil, err
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil || len(s.Siblings) != 1 {
		return []byte{}, nil //nolint:nilerr // whoever reads it sees that it is none of its
	}
	return s.Siblings[0].Value, nil
}
