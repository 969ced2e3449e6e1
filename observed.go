package triad

import (
	"sync/atomic"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// observed is the store as the engine is lent it: it counts what may change the
// definitions of tables, before it shows and once it does. So who reads the
// count, and then a definition, either reads the new one or finds the count
// changed afterwards.
type observed struct {
	topology.Store
	changes *atomic.Uint64
}

func (s observed) Apply(lsn record.LSN, edits []topology.Edit) error {
	for i := range edits {
		if edits[i].Table == record.TableSystem {
			s.changes.Add(1)
			defer s.changes.Add(1)
			break
		}
	}
	return s.Store.Apply(lsn, edits)
}

func (s observed) Stage(id string) (topology.Stage, error) {
	stage, err := s.Store.Stage(id)
	if err != nil {
		return nil, err
	}
	return observedStage{stage, s.changes}, nil
}

// observedStage brings all definitions anew.
type observedStage struct {
	topology.Stage
	changes *atomic.Uint64
}

func (s observedStage) Install(lsn record.LSN) error {
	s.changes.Add(1)
	defer s.changes.Add(1)
	return s.Stage.Install(lsn)
}
