package triad

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

const (
	slotAckEvery  = time.Second     // between two moves of a slot: an entry of the log each
	slotAckWait   = 5 * time.Second // for one of them
	slotIdleBytes = 1 << 20         // of log that others wrote, after which a slot moves though nothing was consumed
)

// acker moves a slot behind its consumer: not with every change, as each move is an
// entry of the log, and not for the entries that the moves themselves are.
type acker struct {
	k      *slotKeeper
	slot   Slot
	cancel context.CancelCauseFunc // ends the watch
	stop   context.CancelFunc
	ended  sync.WaitGroup

	mu    sync.Mutex // a leaf
	to    topology.Token
	wrote bool // what was consumed since holds a change
}

// slotTaken is why a watch ends whose slot is not its own any more.
type slotTaken struct{ error }

// newAcker starts to move a slot; end ends it.
func (k *slotKeeper) newAcker(s Slot, cancel context.CancelCauseFunc) *acker {
	a := &acker{k: k, slot: s, cancel: cancel}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.ended.Go(func() { a.run(ctx) })
	return a
}

// note says that a change was consumed.
func (a *acker) note(c Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to = c.Token
	a.wrote = a.wrote || c.Kind == topology.ChangeWrite
}

// due returns what to acknowledge, if it is worth an entry of the log.
func (a *acker) due() (topology.Token, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.to.IsZero() || a.slot.Synced && a.to.LSN <= a.slot.Token.LSN {
		return topology.Token{}, false
	}
	passed := a.k.log.Offset(a.to.LSN) - a.k.log.Offset(min(a.slot.Token.LSN, a.to.LSN))
	if a.slot.Synced && !a.wrote && passed < slotIdleBytes {
		return topology.Token{}, false
	}
	a.wrote = false
	return a.to, true
}

func (a *acker) run(ctx context.Context) {
	t := time.NewTicker(slotAckEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := a.ack(ctx); err != nil {
			a.cancel(&slotTaken{err})
			return
		}
	}
}

// ack moves the slot. What may pass is tried again with the next move; the error is
// that of a slot that is not this consumer's any more.
func (a *acker) ack(ctx context.Context) error {
	to, due := a.due()
	if !due {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, slotAckWait)
	defer cancel()
	m := call.SlotRequest{Op: call.SlotAck, Name: a.slot.Name, Token: to, Synced: true, Claim: a.slot.Claim}
	s, err := a.k.atLeader(ctx, &m)
	switch {
	case err == nil:
		a.slot = s
	case errors.Is(err, topology.ErrConflict), errors.Is(err, topology.ErrCompacted), errors.Is(err, topology.ErrNotFound):
		return fmt.Errorf("slot %s: %w", a.slot.Name, err)
	default:
		a.mu.Lock()
		a.wrote = true
		a.mu.Unlock()
		a.k.logger.Warn("a slot was not moved; it will be with the next change", "slot", a.slot.Name, "err", err)
	}
	return nil
}

// end stops, and acknowledges what was consumed last.
func (a *acker) end() {
	a.stop()
	a.ended.Wait()
	_ = a.ack(context.Background()) // what is not acknowledged is yielded again
}
