package work

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/topology"
)

// tally is what clients were told, of keys that sums are made of.
type tally struct {
	acked   []atomic.Int64 // by key: what was certainly added
	low     []atomic.Int64 // what may have been subtracted beside, as nobody knows
	high    []atomic.Int64 // what may have been added
	changes atomic.Uint64  // acknowledged
	inserts atomic.Uint64  // begun
}

func newTally(keys int) tally {
	return tally{acked: make([]atomic.Int64, keys), low: make([]atomic.Int64, keys), high: make([]atomic.Int64, keys)}
}

func (t *tally) add(key uint64, by int64, err error) {
	switch {
	case err == nil:
		t.acked[key].Add(by)
		t.changes.Add(1)
	case topology.OutcomeOf(err) == topology.NotApplied:
	case by < 0:
		t.low[key].Add(by)
	default:
		t.high[key].Add(by)
	}
}

// item is one thing in one cart, which one client alone puts in and takes out.
type item struct {
	cart uint64
	what int
}

// state is where an item is, as its client was told last.
type state uint8

const (
	out state = iota
	in
	uncertain
)

// line is one line of a document.
type line struct {
	document uint64
	n        uint32 // of its client
}

// Judge holds what a node has against what clients were told. The node has converged
// with all others.
func (l *Load) Judge(ctx context.Context, at world.Way) (*result.Sums, error) {
	switch l.w.Kind {
	case scenario.Counter:
		return l.judgeCounters(ctx, at)
	case scenario.Bank:
		return l.judgeBank(ctx, at)
	case scenario.Cart:
		return l.judgeWords(ctx, at, "things in carts", l.cartWords())
	case scenario.Append:
		return l.judgeWords(ctx, at, "lines of documents", l.appended())
	}
	return nil, nil
}

// numberOf reads a number; nothing is 0.
func numberOf(b []byte) (int64, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q is no number", topology.ErrMalformed, b)
	}
	return n, nil
}

// holds is what a key holds at a node.
func (l *Load) holds(ctx context.Context, at world.Way, key uint64) (h world.Held, err error) {
	err = at.Do(ctx, "get", func(ctx context.Context, d world.Door) (err error) {
		h, err = d.Read(ctx, l.cell(key), world.Want{Level: scenario.LevelAny})
		return err
	})
	return h, err
}

// number is what a key that counts holds at a node.
func (l *Load) number(ctx context.Context, at world.Way, key uint64) (int64, error) {
	h, err := l.holds(ctx, at, key)
	if err != nil {
		return 0, err
	}
	return l.sumOf(h)
}

func (l *Load) judgeCounters(ctx context.Context, at world.Way) (*result.Sums, error) {
	s := &result.Sums{What: "increments", Changes: int(l.tally.changes.Load())}
	for key := range l.tally.acked {
		has, err := l.number(ctx, at, uint64(key))
		if err != nil {
			return nil, err
		}
		least := l.tally.acked[key].Load()
		most := least + l.tally.high[key].Load()
		s.Lost += int(max(least-has, 0))
		s.Extra += int(max(has-most, 0))
	}
	return s, nil
}

// judgeBank counts, account by account, what is missing and what is too much: a
// transfer of which half is lost shows as one of them.
func (l *Load) judgeBank(ctx context.Context, at world.Way) (*result.Sums, error) {
	s := &result.Sums{What: "units of money", Changes: int(l.tally.changes.Load() / 2)}
	var missing, over, off, free int64
	for key := range l.tally.acked {
		has, err := l.number(ctx, at, uint64(key))
		if err != nil {
			return nil, err
		}
		expect := Opening + l.tally.acked[key].Load()
		missing += max(expect+l.tally.low[key].Load()-has, 0)
		over += max(has-expect-l.tally.high[key].Load(), 0)
		off += has - Opening
		free += l.tally.high[key].Load()
	}
	s.Lost, s.Extra = int(missing), int(over)
	if off != 0 && free == 0 && s.Lost == 0 && s.Extra == 0 {
		return nil, fmt.Errorf("all accounts are right and their sum is off by %d", off)
	}
	return s, nil
}

// words are what must, and must not, be in a key.
type words struct{ must, mustNot map[string]bool }

func (l *Load) wordsOf(all map[uint64]*words, key uint64) *words {
	if all[key] == nil {
		all[key] = &words{map[string]bool{}, map[string]bool{}}
	}
	return all[key]
}

func (l *Load) cartWords() map[uint64]*words {
	all := map[uint64]*words{}
	for _, c := range l.clients {
		for it, s := range c.carts {
			w, name := l.wordsOf(all, it.cart), fmt.Sprintf("%d.%d", c.number, it.what)
			switch s {
			case in:
				w.must[name] = true
			case out:
				w.mustNot[name] = true
			}
		}
	}
	return all
}

func (l *Load) appended() map[uint64]*words {
	all := map[uint64]*words{}
	for _, c := range l.clients {
		for _, ln := range c.appended {
			l.wordsOf(all, ln.document).must[fmt.Sprintf("%d.%d", c.number, ln.n)] = true
		}
	}
	return all
}

func (l *Load) judgeWords(ctx context.Context, at world.Way, what string, all map[uint64]*words) (*result.Sums, error) {
	s := &result.Sums{What: what}
	for key, w := range all {
		has, err := l.has(ctx, at, key)
		if err != nil {
			return nil, err
		}
		s.Changes += len(w.must) + len(w.mustNot)
		for name := range w.must {
			if !has[name] {
				s.Lost++
			}
		}
		for name := range w.mustNot {
			if has[name] {
				s.Extra++
			}
		}
	}
	return s, nil
}

// has are the words in a key at a node.
func (l *Load) has(ctx context.Context, at world.Way, key uint64) (map[string]bool, error) {
	h, err := l.holds(ctx, at, key)
	has := map[string]bool{}
	for _, word := range wordsOf(h) {
		has[word] = true
	}
	return has, err
}
