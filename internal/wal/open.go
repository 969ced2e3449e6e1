package wal

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Open reads the log in a directory, makes the directory if it is missing, cuts
// a torn tail, and finishes a cut that had begun. It starts nothing. What it
// finds is durable when it returns: Flushed is End.
//
// A log that cannot be trusted is a [*CorruptError], one of another cluster or
// node a [*ForeignError], one of a newer format a [*FormatError]; nothing was
// changed then.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := folder{fs: o.FS, dir: o.Dir}
	if err := d.make(); err != nil {
		return nil, err
	}
	found, err := look(d, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := o.owns(found); err != nil {
		return nil, err
	}
	l := &Log{
		o: o, d: d, spares: newSpares(d, o),
		man:  found.man,
		edit: make(chan struct{}, 1),
		pen:  make(chan struct{}, 1),
		work: make(chan struct{}, 1),
		done: make(chan struct{}),
		disk: disk{d: d, cluster: found.man.cluster, node: o.Node},
		st:   state{enc: record.NewEncoder(), Bounds: topology.Bounds{First: 1}},
	}
	l.spares.full = func(full bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.st.full = full
		if full {
			l.st.waits.space.all(nil)
		}
	}
	l.spares.broken = func(doing string, err error) { _ = l.fail(doing, err) }
	if err := l.recover(found); err != nil {
		return nil, errors.Join(err, l.disk.close())
	}
	return l, nil
}

// owns refuses a log of another cluster or node.
func (o Options) owns(s *survey) error {
	if !s.begun {
		return nil
	}
	if s.man.node != o.Node || o.Cluster != [16]byte{} && s.man.cluster != o.Cluster {
		want := o.Cluster
		if want == [16]byte{} {
			want = s.man.cluster
		}
		return &ForeignError{File: manifestName, Cluster: s.man.cluster, Expected: want, Node: s.man.node, Self: o.Node}
	}
	return nil
}

// recover makes the directory what was found, and the log its image.
func (l *Log) recover(s *survey) error {
	// A process that died may have left names that are not durable yet, the
	// manifest's among them; what they make superfluous goes after (PW5).
	if err := l.d.sync(); err != nil {
		return err
	}
	for _, name := range append(s.parts, s.extra...) {
		if err := l.d.remove(name); err != nil {
			return err
		}
	}
	if err := l.spares.adopt(s.spares); err != nil {
		return err
	}
	if err := l.d.sync(); err != nil {
		return err
	}
	if !s.begun {
		if err := l.d.root(); err != nil {
			return err
		}
		l.spares.taken(2)
		if l.o.Cluster == [16]byte{} {
			return nil
		}
		return l.begin(l.o.Cluster)
	}
	seg := s.segs[len(s.segs)-1]
	l.spares.taken(seg.number + 1)
	f, err := l.d.edit(seg.name)
	if err != nil {
		return err
	}
	l.disk.enter(seg, f)
	l.disk.roll, l.disk.term = s.open.roll, s.open.term
	l.disk.owing = seg.last >= seg.first && !s.open.rested
	if err := l.confirm(s); err != nil {
		return err
	}
	if err := l.mend(s, f); err != nil {
		return err
	}
	st := &l.st
	st.begun, st.cluster, st.history, st.segs = true, s.man.cluster, s.history, s.segs
	st.First, st.End, st.Flushed = s.man.first, seg.last, seg.last
	st.offset, st.durable, st.room = seg.log, seg.log, seg.room()
	return nil
}

// confirm writes the footer before an open segment without frames once more: the
// first frame is what says that it is durable, and until then it may stand in the
// page cache alone, for the reasons that mend has.
func (l *Log) confirm(s *survey) error {
	n := len(s.segs)
	if n < 2 || s.segs[n-1].end > headerBytes {
		return nil
	}
	old := s.segs[n-2]
	f, err := l.d.edit(old.name)
	if err != nil {
		return err
	}
	b := make([]byte, footerBytes)
	_, err = readAt(f, b, old.end)
	if err == nil {
		err = writeAt(f, b, old.end)
	}
	if err == nil {
		err = syncAll(f)
	}
	return errors.Join(err, f.Close())
}

// mend makes the end of the open segment what recovery takes it for.
//
// What no frame promises was perhaps never durable: a process that died may have
// left it in the page cache alone, and after a failed sync the cache may even
// hold pages that it takes for written (PW4). So it is written again. And no
// remains of frames may lie behind the end, where a later entry could make them
// look like its continuation.
func (l *Log) mend(s *survey, f vfs.File) error {
	seg, o := l.disk.seg, s.open
	if o.cutting {
		if err := zero(f, seg.end, seg.capacity); err != nil {
			return err
		}
		l.man.cutting, l.man.cut = false, 0
		return l.man.save(l.d)
	}
	if o.strays.end > 0 {
		l.o.Logger.Warn("torn tail cut", "file", l.d.path(seg.name), "offset", seg.end, "lsn", seg.last+1, "bytes", o.strays.end-seg.end)
	}
	if seg.end > o.promised {
		b := make([]byte, seg.end-o.promised)
		if _, err := readAt(f, b, o.promised); err != nil {
			return err
		}
		if err := writeAt(f, b, o.promised); err != nil {
			return err
		}
	}
	return zero(f, seg.end, min(max(o.strays.end, seg.end), seg.capacity))
}

// begin makes the first segment of a new log, and then its manifest: until that
// stands, the log was never begun.
func (l *Log) begin(cluster [16]byte) error {
	k := &l.disk
	l.man = manifest{cluster: cluster, node: l.o.Node, segment: 1, first: 1}
	k.cluster = cluster
	s, err := l.spares.create(l.o.planned(1))
	if err != nil {
		return err
	}
	seg, err := k.found(k.heir(s, 1), s)
	if err != nil {
		return errors.Join(err, s.file.Close())
	}
	k.enter(seg, s.file)
	if err := l.man.save(l.d); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	st := &l.st
	st.begun, st.cluster, st.segs, st.room = true, cluster, []*segment{seg}, seg.room()
	return nil
}
