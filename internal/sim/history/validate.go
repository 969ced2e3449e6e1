package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Validate reports the first way in which ops are no history: what a checker
// says of such a thing means nothing.
func Validate(ops []Op) error {
	ids := make(map[uint64]bool, len(ops))
	for i := range ops {
		if err := ops[i].check(); err != nil {
			return fmt.Errorf("%w: %v: %w", errMalformed, ops[i], err)
		}
		if ids[ops[i].ID] {
			return fmt.Errorf("%w: %v: its id is taken", errMalformed, ops[i])
		}
		ids[ops[i].ID] = true
	}
	last := map[uint64]Op{}
	for _, op := range ByTime(ops) {
		before, some := last[op.Client]
		switch {
		case some && before.Outcome == Unknown:
			return fmt.Errorf("%w: %v: its client was retired by %v", errMalformed, op, before)
		case some && op.Invoke < before.Return:
			return fmt.Errorf("%w: %v: its client had not been answered %v", errMalformed, op, before)
		}
		last[op.Client] = op
	}
	return nil
}

// ByTime returns ops in the order in which they were asked.
func ByTime(ops []Op) []Op {
	return slices.SortedStableFunc(slices.Values(ops), func(a, b Op) int {
		return cmp.Or(cmp.Compare(a.Invoke, b.Invoke), cmp.Compare(a.ID, b.ID))
	})
}

func (o Op) check() error {
	switch {
	case !o.Kind.valid():
		return fmt.Errorf("there is no kind %q", o.Kind)
	case o.Client == 0:
		return fmt.Errorf("it has no client")
	case o.Outcome != Applied && o.Outcome != NotApplied && o.Outcome != Unknown:
		return fmt.Errorf("there is no outcome %q", o.Outcome)
	case o.Invoke < 0:
		return fmt.Errorf("it was asked before the history began")
	case o.Outcome != Unknown && o.Return < o.Invoke, o.Return != 0 && o.Return < o.Invoke:
		return fmt.Errorf("it was answered before it was asked")
	case o.Refused && (o.Kind != CompareAndSet || o.Outcome != NotApplied):
		return fmt.Errorf("only a compare-and-set that was not applied is refused")
	case (o.Kind == Put || o.Kind == CompareAndSet) && o.Value == "":
		return fmt.Errorf("it writes no value")
	case o.Kind == Transfer && (o.To == "" || o.To == o.Key):
		return fmt.Errorf("it goes nowhere")
	}
	return nil
}
