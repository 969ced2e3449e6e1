package wal

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// disk is the open segment as its writer sees it. Who holds the pen owns it; it
// knows no lock and no memory of the log.
type disk struct {
	d       folder
	cluster [16]byte
	node    topology.NodeID
	file    vfs.File   // of seg, open for writing
	seg     *segment   // seg.end is both written and durable between two groups
	term    uint64     // of the last entry
	roll    uint32     // of the entries in seg
	owing   bool       // entries stand in seg that no frame promises to be durable
	spare   *spareFile // taken, and not needed yet
}

// rotate closes the open segment and opens the next in a spare. The order of the
// three steps is what recovery relies on: see the package comment.
func (k *disk) rotate(s *spareFile) (*segment, error) {
	old := k.seg
	footer, chain := newMark(kindFooter, old.seed, old.number, old.end, old.last, k.term, k.roll)
	h := k.heir(s, old.last+1)
	h.prevEnd, h.chain = old.end+footerBytes, chain
	seg, err := k.found(h, s)
	if err != nil {
		return nil, err
	}
	if err := writeAt(k.file, footer, old.end); err != nil {
		return nil, err
	}
	if err := syncFile(k.file); err != nil {
		return nil, err
	}
	if err := k.file.Close(); err != nil {
		return nil, err
	}
	k.enter(seg, s.file)
	return seg, nil
}

// heir is the header of the segment after the open one, without a chain.
func (k *disk) heir(s *spareFile, first record.LSN) header {
	h := header{capacity: s.size, cluster: k.cluster, node: k.node, number: 1, first: first, term: k.term}
	if k.seg != nil {
		h.number, h.offset = k.seg.number+1, k.seg.log
	}
	return h
}

// found makes a spare the segment of that header: durable before it has a name,
// and named before anything else relies on it.
func (k *disk) found(h header, s *spareFile) (*segment, error) {
	block, seed := h.block()
	if err := writeAt(s.file, block, 0); err != nil {
		return nil, err
	}
	if err := syncFile(s.file); err != nil {
		return nil, err
	}
	seg := newSegment(h, seed)
	if err := k.d.rename(s.name, seg.name); err != nil {
		return nil, err
	}
	return seg, k.d.sync()
}

// enter makes seg, which holds no entries, the open one.
func (k *disk) enter(seg *segment, f vfs.File) {
	k.seg, k.file, k.roll, k.owing = seg, f, 0, false
}

// promise writes a mark that everything before it is durable, so that damage to
// the last group is known for what it is even if nothing follows. It returns how
// many bytes that took.
func (k *disk) promise() (int64, error) {
	s := k.seg
	if !k.owing || s.room() < footerBytes {
		return 0, nil
	}
	b, _ := newMark(kindPromise, s.seed, s.number, s.end, s.last, k.term, k.roll)
	if err := writeAt(k.file, b, s.end); err != nil {
		return 0, err
	}
	k.owing = false
	return int64(len(b)), syncFile(k.file)
}

func (k *disk) close() error {
	var err error
	if k.file != nil {
		err = k.file.Close()
	}
	if k.spare != nil {
		err = errors.Join(err, k.spare.file.Close())
	}
	k.file, k.spare = nil, nil
	return err
}
