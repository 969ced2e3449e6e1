//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/internal/sim/history"
	source "github.com/triad-kv/triad/internal/sim/load"
)

// commands are what an operation is to the port.
func commands(op *history.Op) [][]string {
	amount := strconv.FormatInt(op.Amount, 10)
	switch op.Kind {
	case history.Put:
		return [][]string{{"SET", op.Key, padded(op.Key, op.Value)}}
	case history.CompareAndSet:
		return [][]string{{"MULTI"}, {"SET", op.Key, padded(op.Key, op.Value)}, {"EXEC"}}
	case history.Get:
		return [][]string{{"GET", op.Key}}
	case history.Delete:
		return [][]string{{"DEL", op.Key}}
	case history.Increment:
		return [][]string{{"INCRBY", op.Key, amount}}
	case history.Transfer:
		return [][]string{{"MULTI"}, {"DECRBY", op.Key, amount}, {"INCRBY", op.To, amount}, {"EXEC"}}
	case history.Scan:
		all := []string{"MGET"}
		for i := range accounts {
			all = append(all, source.Account(i))
		}
		// A transaction that writes is read at one place wherever it is answered,
		// and nowhere but at the leader.
		return [][]string{{"MULTI"}, all, {"DEL", "none"}, {"EXEC"}}
	}
	panic("no command for " + string(op.Kind))
}

// exchange sends the commands of op and returns the answer to the last. A
// compare-and-set is a read under WATCH before; where the condition does not hold
// it is refused without a write.
func (c *client) exchange(op *history.Op) (resp.Answer, error) {
	if op.Kind == history.CompareAndSet {
		all, err := c.conn.do(answerWait, []string{"WATCH", op.Key}, []string{"GET", op.Key})
		if err != nil {
			return resp.Answer{}, unsent{err} // nothing that writes was sent
		}
		for _, a := range all {
			if a.Fault != "" {
				return a, nil
			}
		}
		v, whole := unpadded(op.Key, string(all[1].Text))
		if !whole && !all[1].Null {
			return resp.Answer{Fault: fmt.Sprintf("ERR %s is not whole", op.Key)}, nil
		}
		if op.Refused = all[1].Null != (op.Expect == "") || v != op.Expect; op.Refused {
			_, err := c.conn.do(answerWait, []string{"UNWATCH"})
			if err != nil {
				c.leave()
			}
			return resp.Answer{}, nil
		}
	}
	all, err := c.conn.do(answerWait, commands(op)...)
	if err != nil {
		return resp.Answer{}, err
	}
	last := all[len(all)-1]
	if op.Kind == history.CompareAndSet && last.Null { // somebody was faster
		op.Refused = true
	}
	return last, nil
}

// refused sets the outcome of an operation that was answered by an error, as
// docs/redis.md has it.
func (c *client) refused(op *history.Op, a resp.Answer) error {
	switch a.Code() {
	case "UNKNOWN":
		op.Outcome = history.Unknown
	case "READONLY", "TRYAGAIN", "MISCONF", "STALE", "EXECABORT":
	default:
		c.load.odd(string(op.Kind) + ": " + a.Fault)
	}
	return errors.New(a.Fault)
}

// understand takes what was read out of an answer. One that is no answer to the
// question leaves the operation unknown.
func (c *client) understand(op *history.Op, a resp.Answer) error {
	var ok bool
	switch op.Kind {
	case history.Put:
		ok = string(a.Text) == "OK"
	case history.Delete:
		ok = string(a.Text) == "0" || string(a.Text) == "1"
	case history.CompareAndSet:
		ok = len(a.Parts) == 1 && string(a.Parts[0].Text) == "OK"
	case history.Get:
		ok = true
		if !a.Null {
			var v string
			v, ok = unpadded(op.Key, string(a.Text))
			op.Got = []string{v}
		}
	case history.Increment:
		ok, op.Got = len(a.Text) > 0, []string{string(a.Text)}
	case history.Transfer:
		ok = len(a.Parts) == 2 && a.Parts[0].Fault == "" && a.Parts[1].Fault == ""
	case history.Scan:
		ok = len(a.Parts) == 2 && len(a.Parts[0].Parts) == accounts && op.Key == source.Accounts
		for i := 0; ok && i < accounts; i++ {
			if p := a.Parts[0].Parts[i]; !p.Null {
				op.Rows = append(op.Rows, history.Row{Key: source.Account(i), Value: string(p.Text)})
			}
		}
	}
	if ok {
		return nil
	}
	op.Outcome, op.Got, op.Rows = history.Unknown, nil, nil
	err := fmt.Errorf("no answer to %s of %s: %.200s", op.Kind, op.Key, a.String())
	c.load.odd(err.Error())
	return err
}
