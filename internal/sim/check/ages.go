package check

import (
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Age is how old what a read showed was when it was asked for.
type Age struct {
	Op     history.Op
	Behind int           // later writes of the key that had been acknowledged by then
	By     time.Duration // since the first of them was; 0 if there was none
}

// Ages returns how old what was read was, of every answered get of a key that does not
// count. It judges nothing: what a read may show depends on what it asked for.
func (c *Case) Ages() (all []Age) {
	c.reads(func(op history.Op, key string, values []string) {
		if op.Kind != history.Get {
			return
		}
		a := Age{Op: op}
		for _, w := range c.writes[key] {
			if w.Outcome == history.Applied && w.Return < op.Invoke && c.misses(key, values, op.Return, w) {
				a.Behind++
				a.By = max(a.By, op.Invoke-w.Return)
			}
		}
		all = append(all, a)
	})
	return all
}
