package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A stage is the generation after the current one while a snapshot is received
// into it (rule S12). Each chunk is flushed together with its mark, so that
// what Resume says is there is there; there is no log for it, as the snapshot
// comes from its sender again. Install makes the whole durable and then lets
// the pointer name it: the rename of one small file, before which a crash
// brings back the old contents and after which the new ones.
//
// A stage that fails, a full disk for instance, fails alone (bad input 68).
type stage struct {
	p    *Pebble
	g    *generation
	id   string
	mark []byte
	turn chan struct{} // a slot of one: one operation at a time
	over error         // why it takes no more, nil while it does; under the turn
}

// stageIDBytesMax is how long a stage's id may be.
const stageIDBytesMax = 1 << 10

// Stage is [topology.Store.Stage]. There is one at a time: an open one is
// closed first.
func (p *Pebble) Stage(id string) (topology.Stage, error) {
	if len(id) > stageIDBytesMax {
		return nil, fmt.Errorf("stage id of %d bytes, at most %d: %w", len(id), stageIDBytesMax, topology.ErrTooLarge)
	}
	p.turn <- struct{}{}
	defer p.giveTurn()
	g, err := p.acquire()
	if err != nil {
		return nil, err
	}
	defer p.all.release(g)
	if p.stage != nil {
		err := p.stage.Close()
		p.stage = nil
		if err != nil {
			return nil, err
		}
	}
	s := &stage{p: p, id: id, turn: make(chan struct{}, 1)}
	if err := s.open(g.number + 1); err != nil {
		return nil, fmt.Errorf("stage %q: %w", id, err)
	}
	p.stage = s
	return s, nil
}

// open resumes the stage of this id if there is one, and else begins it.
func (s *stage) open(number uint64) error {
	ok, err := s.resume(number)
	if ok || err != nil {
		return err
	}
	if err := s.p.o.FS.RemoveAll(s.p.all.path(number)); err != nil {
		return err
	}
	if s.g, err = s.p.all.open(number, true, s.p.tellFailure); err != nil {
		return err
	}
	if err := s.g.mark(metaValue{metaStage, []byte(s.id)}); err != nil {
		return errors.Join(err, s.p.all.end(s.g))
	}
	return nil
}

// resume opens what an earlier stage has left, if it has this id. Anything that
// does not open, or is another's, is to be discarded.
func (s *stage) resume(number uint64) (bool, error) {
	g, err := s.p.all.open(number, false, s.p.tellFailure)
	if err != nil {
		s.p.o.Logger.Debug("no stage to resume", slog.Any("reason", err))
		return false, nil
	}
	fresh, err := g.checkFormat()
	if err != nil || fresh {
		return false, s.p.all.end(g)
	}
	id, err := g.get(g.db, metaStage)
	if err != nil || id == nil || string(id) != s.id {
		return false, s.p.all.end(g)
	}
	if s.mark, err = g.get(g.db, metaMark); err != nil {
		return false, s.p.all.end(g)
	}
	s.g = g
	return true, nil
}

// Resume is [topology.Stage.Resume]: the mark as it was when the stage was opened.
func (s *stage) Resume() []byte { return s.mark }

// Put is [topology.Stage.Put]. It waits for the disk.
func (s *stage) Put(mark []byte, edits []topology.Edit) error {
	if err := checkSize(edits); err != nil {
		return err
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.over != nil {
		return s.over
	}
	if err := s.put(edits, metaValue{metaMark, append([]byte{}, mark...)}); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *stage) put(edits []topology.Edit, meta ...metaValue) error {
	if err := s.g.room(s.p.closed); err != nil {
		return err
	}
	if err := s.g.write(edits, meta...); err != nil {
		return err
	}
	return s.g.flush(context.Background())
}

func (s *stage) failed(err error) error {
	return fmt.Errorf("stage %q: %w", s.id, err)
}

// Install is [topology.Stage.Install]. The position may be lower than the
// store's, as it is where a tail is rewound. Snapshots of what was there before
// keep it until they are closed.
func (s *stage) Install(lsn record.LSN) error {
	err := s.install(lsn)
	s.p.all.reapQuietly()
	return err
}

func (s *stage) install(lsn record.LSN) error {
	p := s.p
	p.turn <- struct{}{}
	defer p.giveTurn()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.over != nil {
		return s.over
	}
	old, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.all.release(old)
	if err := s.put(nil, appliedValue(lsn), metaValue{metaFrom, []byte(s.id)}); err != nil {
		return s.failed(err)
	}
	to := pointer{generation: s.g.number, flushed: lsn}
	if decided, err := writePointer(p.o, to); err != nil {
		if !decided && isFull(err) {
			return s.failed(err)
		}
		return p.fail(err)
	}
	s.over, p.stage = topology.ErrClosed, nil
	old.obsolete = true
	defer p.all.release(old) // the store's own reference
	return p.replace(s.g, to)
}

// replace makes g, to which the pointer on disk already leads, the contents.
func (p *Pebble) replace(g *generation, to pointer) error {
	p.write.Lock()
	// The stage's own keys have done their work. If a crash undoes this,
	// nobody looks at them in a generation that is current.
	err := g.write(nil, metaValue{key: metaStage}, metaValue{key: metaMark})
	p.pointer = to
	p.applied.Store(uint64(to.flushed))
	p.current.Store(g)
	g.fence.patient.Store(true)
	p.write.Unlock()
	if err != nil {
		return p.fail(err)
	}
	return nil
}

// Close is [topology.Stage.Close].
func (s *stage) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.over != nil {
		return nil
	}
	s.over = topology.ErrClosed
	return s.p.all.end(s.g)
}
