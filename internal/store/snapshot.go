package store

import (
	"bytes"
	"iter"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// snapshot is a view of one generation. Get and Scan may be called from any
// goroutine, but not while Close runs.
type snapshot struct {
	p       *Pebble
	g       *generation
	view    *pebble.Snapshot
	applied record.LSN
	closed  atomic.Bool
}

func (s *snapshot) Applied() record.LSN { return s.applied }

func (s *snapshot) Installed() (string, error) {
	if err := s.usable(); err != nil {
		return "", err
	}
	id, err := s.g.get(s.view, metaFrom)
	if err != nil {
		return "", s.p.generationFailed(s.g, err)
	}
	return string(id), nil
}

func (s *snapshot) Get(c record.Cell) ([]byte, error) {
	if err := s.usable(); err != nil {
		return nil, err
	}
	return s.p.stored(s.g, s.view, appendCell(nil, c))
}

func (s *snapshot) usable() error {
	if s.closed.Load() {
		return topology.ErrClosed
	}
	if err := s.g.fence.err(); err != nil {
		return s.p.generationFailed(s.g, err)
	}
	return nil
}

func (s *snapshot) Scan(from, to record.Cell) iter.Seq2[topology.Edit, error] {
	return func(yield func(topology.Edit, error) bool) {
		if err := s.usable(); err != nil {
			yield(topology.Edit{}, err)
			return
		}
		// The scan keeps its own reference: its body may close the snapshot.
		s.g.retain()
		defer s.p.all.release(s.g)
		lower, upper := appendCell(nil, from), appendCell(nil, to)
		if bytes.Compare(lower, upper) >= 0 {
			return
		}
		if err := s.scan(lower, upper, yield); err != nil {
			s.g.fence.fail(err)
			yield(topology.Edit{}, s.p.generationFailed(s.g, err))
		}
	}
}

// scan yields the cells of a range of physical keys. An error is yet to be yielded.
func (s *snapshot) scan(lower, upper []byte, yield func(topology.Edit, error) bool) error {
	it, err := s.view.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close() // its error is that of it.Error, seen below
	var buf []byte
	for ok := it.First(); ok; ok = it.Next() {
		e := topology.Edit{}
		if e.Cell, buf, err = parseCell(it.Key(), buf); err != nil {
			return err
		}
		if e.State, err = it.ValueAndErr(); err != nil {
			return err
		}
		if e.State == nil {
			e.State = []byte{}
		}
		if err := s.g.fence.err(); err != nil {
			return err
		}
		if !yield(e, nil) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	return s.g.fence.err()
}

func (s *snapshot) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	err := s.view.Close()
	s.p.all.release(s.g)
	s.p.snapshots.Add(-1)
	if e := s.p.all.reap(); err == nil {
		err = e
	}
	return err
}
