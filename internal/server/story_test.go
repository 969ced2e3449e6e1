package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
)

// TestStories has clients talk to a server over a node in memory. Each line of a
// story is a command as a person types it; what follows is what is answered.
//
//	redis [client=NAME]                 one command after the other
//	pipeline [client=NAME] [answers=N]  all of them at once
//	records                             the records that were accepted since the last time
//	lead by=NODE                        who leads; the node is a
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		node := newFake()
		node.now = func() time.Time { return time.Now() }
		for i, k := range []record.Kind{record.KindBytes, record.KindRow, record.KindCounter, record.KindSet, record.KindMap, record.KindFlag, record.KindMax, record.KindMin, record.KindHLL} {
			name := []string{"bytes", "rows", "counters", "sets", "maps", "flags", "maxima", "minima", "sketches"}[i]
			node.tables[name] = triad.CellTable{ID: record.TableFirst + record.TableID(i), Kind: k}
		}
		o := Options{Prefixes: map[string]string{"b:": "bytes", "row:": "rows", "n:": "counters", "s:": "sets", "m:": "maps", "f:": "flags", "max:": "maxima", "min:": "minima", "h:": "sketches", "row:none:": "missing"}}
		if strings.Contains(path, "auth") {
			o.Password = "secret"
			o.Limits.AuthDelay = time.Microsecond
		}
		s := start(t, node, o)
		clients := map[string]*client{}
		at := func(name string) *client {
			if clients[name] == nil {
				clients[name] = s.dial(t)
			}
			return clients[name]
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return tell(t, node, at, d)
		})
	})
}

func tell(t *testing.T, node *fakeNode, at func(string) *client, d *datadriven.TestData) string {
	name := "a"
	d.MaybeScanArgs(t, "client", &name)
	var b strings.Builder
	lines := strings.Split(strings.TrimSpace(d.Input), "\n")
	switch d.Cmd {
	case "redis":
		for _, l := range lines {
			at(name).send(l + "\r\n")
			fmt.Fprintln(&b, at(name).answer())
		}
	case "pipeline":
		before := node.updates
		at(name).send(strings.Join(lines, "\r\n") + "\r\n")
		n := len(lines)
		d.MaybeScanArgs(t, "answers", &n)
		for range n {
			fmt.Fprintln(&b, at(name).answer())
		}
		fmt.Fprintf(&b, "groups: %d\n", node.updates-before)
	case "records":
		for _, ms := range node.records {
			for i, m := range ms {
				mark := "-"
				if i > 0 {
					mark = " "
				}
				fmt.Fprintf(&b, "%s %s\n", mark, mutation(m))
			}
		}
		node.records = nil
	case "lead":
		var by string
		d.ScanArgs(t, "by", &by)
		node.mu.Lock()
		node.leader = "a"
		if by != "a" {
			node.leader = "b"
		}
		node.mu.Unlock()
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return b.String()
}

func mutation(m record.Mutation) string {
	if m.Op == record.OpDelete {
		return fmt.Sprintf("delete %d %q %q", m.Table, m.Key, m.Field)
	}
	return fmt.Sprintf("put %d %q %q kind %d %q", m.Table, m.Key, m.Field, m.Kind, m.Value)
}
