package leaderless

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
)

// trouble is why the map could not be stepped the last time, empty if it could.
func (v *mover) trouble() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.problem
}

// cancels is what going back would move: all that has moved, or is moving.
func (v *mover) cancels(m *placement.Map) topology.RingPlan {
	out := topology.RingPlan{Epoch: m.Epoch()}
	back, err := m.Cancel()
	if err != nil {
		return out
	}
	for _, mv := range back.Moves() {
		out.Moves = append(out.Moves, topology.RingMove{Partition: mv.Partition, Stage: back.Part(mv.Partition).Stage.String(), Old: mv.Old, New: mv.New})
	}
	return out
}

// cancel goes back to the nodes of before. Like every step it is made once all who serve
// what moves have heard of the map as it is; who was to come, and can not be reached,
// need not.
func (v *mover) cancel(ctx context.Context, epoch uint64) (topology.RingPlan, error) {
	e := v.e
	m := e.place.Current()
	fail := func(err error) (topology.RingPlan, error) {
		return topology.RingPlan{}, e.errorOf("ring cancel", topology.NotApplied, err)
	}
	if _, moving := m.Target(); !moving {
		return fail(fmt.Errorf("%w: nothing moves", topology.ErrConflict))
	}
	stands := v.ask(ctx, m)
	back := func() (placement.Layout, bool) { return m.Layout(), true }
	for _, mv := range m.Moves() {
		if part := m.Part(mv.Partition); part.Moving() {
			if why := v.unheard(m, part, stands, back); why != "" {
				return fail(fmt.Errorf("%w: partition %d: %s", topology.ErrUnavailable, part.ID, why))
			}
		}
	}
	out := v.cancels(m)
	_, err := e.chart.swap(ctx, func(now *placement.Map) (*placement.Map, error) {
		if now.Epoch() != m.Epoch() || epoch != 0 && now.Epoch() != epoch {
			return nil, fmt.Errorf("%w: there is map %d by now; look at it again", topology.ErrConflict, now.Epoch())
		}
		return now.Cancel()
	})
	if err != nil {
		return fail(err)
	}
	return out, nil
}
