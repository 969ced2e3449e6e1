package singleleader

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Each file of testdata/core is a story: cores of one group, the events that reach
// them in the order written, and what each does about it.
//
//	node NAME [end=N term=T flushed=N applied=N accepted=T leader=NAME async]
//	NAME EVENT [node=… term=… life=… lsn=… n=… session=…]
//	NAME lead term=T rule=any-1|first-1|all|async voters=(a, b, c)
//	NAME ack node=b term=T [life=L] [written=N flushed=N round=R]
//	NAME cut session=S term=T asked=LSN@T to=LSN@T [history=(START@T, …)]
//	NAME append session=S term=T prev=LSN@T [entries=N@T …] [commit=N end=N round=R]
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/core", func(t *testing.T, path string) {
		cores := map[string]*core{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "node" {
				c := storyNode(t, d)
				cores[string(c.self)] = c
				return storyState(c)
			}
			c := cores[d.Cmd]
			require.NotNil(t, c, "%s: no node %q", d.Pos, d.Cmd)
			var b strings.Builder
			for _, x := range c.step(storyEvent(t, d)) {
				b.WriteString(storyEffect(x))
			}
			return b.String() + storyState(c)
		})
	})
}

type storyArgs struct {
	t *testing.T
	d *datadriven.TestData
}

func (a storyArgs) num(key string) uint64 {
	var n uint64
	if a.d.HasArg(key) {
		a.d.ScanArgs(a.t, key, &n)
	}
	return n
}

func (a storyArgs) str(key string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == key {
			return strings.Join(arg.Vals, ", ")
		}
	}
	return ""
}

func (a storyArgs) place(key string) stream.Place {
	var p stream.Place
	if s := a.str(key); s != "" {
		_, err := fmt.Sscanf(s, "%d@%d", &p.LSN, &p.Term)
		require.NoError(a.t, err, a.d.Pos)
	}
	return p
}

func storyNode(t *testing.T, d *datadriven.TestData) *core {
	a := storyArgs{t, d}
	c := &core{
		self: topology.NodeID(d.CmdArgs[0].Key), async: d.HasArg("async"),
		end: record.LSN(a.num("end")), lastTerm: a.num("term"), flushed: record.LSN(a.num("flushed")),
		applied: record.LSN(a.num("applied")), commit: record.LSN(a.num("applied")),
		term: a.num("accepted"), leader: topology.NodeID(a.str("leader")),
	}
	return c
}

func storyEvent(t *testing.T, d *datadriven.TestData) event {
	a := storyArgs{t, d}
	ev := event{
		node: topology.NodeID(a.str("node")), life: a.num("life"), term: a.num("term"),
		lsn: record.LSN(a.num("lsn")), n: int(a.num("n")), session: a.num("session"),
	}
	switch name := d.CmdArgs[0].Key; name {
	case "accepted":
		ev.kind = evAccepted
	case "lead":
		ev.kind = evLead
		p, err := quorum.Parse(strings.ReplaceAll(a.str("rule"), "-", " "))
		require.NoError(t, err, d.Pos)
		var voters []topology.NodeID
		for _, v := range strings.Split(a.str("voters"), ", ") {
			voters = append(voters, topology.NodeID(v))
		}
		ev.rule, err = quorum.NewRule(p, topology.NodeID(d.Cmd), voters)
		require.NoError(t, err, d.Pos)
	case "write":
		ev.kind = evAppended
	case "flushed":
		ev.kind = evFlushed
	case "applied":
		ev.kind = evApplied
	case "ack":
		ev.kind = evAck
		ev.ack = stream.Ack{Term: a.num("term"), Written: record.LSN(a.num("written")), Flushed: record.LSN(a.num("flushed")), Round: a.num("round")}
	case "read":
		ev.kind = evRead
	case "begin":
		ev.kind = evBegin
	case "cut":
		ev.kind = evCut
		for _, arg := range d.CmdArgs {
			for _, v := range arg.Vals {
				var ts topology.TermStart
				if _, err := fmt.Sscanf(v, "%d@%d", &ts.Start, &ts.Term); err == nil && arg.Key == "history" {
					ev.history = append(ev.history, ts)
				}
			}
		}
		ev.cut = stream.Cut{Term: a.num("term"), Asked: a.place("asked"), To: a.place("to")}
	case "truncated":
		ev.kind = evTruncated
	case "append":
		ev.kind = evAppend
		ev.append = storyAppend(a)
	case "gone":
		ev.kind = evGone
	default:
		d.Fatalf(t, "no event %q", name)
	}
	return ev
}

func storyAppend(a storyArgs) *stream.Append {
	m := &stream.Append{
		Term: a.num("term"), Prev: a.place("prev"), Commit: record.LSN(a.num("commit")),
		End: record.LSN(a.num("end")), Round: a.num("round"),
	}
	for _, arg := range a.d.CmdArgs {
		if arg.Key != "entries" {
			continue
		}
		for _, v := range arg.Vals {
			var e record.Entry
			_, err := fmt.Sscanf(v, "%d@%d", &e.LSN, &e.Term)
			require.NoError(a.t, err, a.d.Pos)
			m.Entries = append(m.Entries, e)
		}
	}
	return m
}

func storyEffect(x effect) string {
	switch x.kind {
	case doStart:
		return fmt.Sprintf("append the start of term %d at %d\n", x.term, x.lsn)
	case doReceived:
		return fmt.Sprintf("received up to %d\n", x.lsn)
	case doCommit:
		return fmt.Sprintf("commit up to %d\n", x.lsn)
	case doAnswer:
		return fmt.Sprintf("answer reads up to round %d\n", x.round)
	case doRound:
		return fmt.Sprintf("ask round %d\n", x.round)
	case doStepDown:
		return fmt.Sprintf("step down from term %d\n", x.term)
	case doPersist:
		return fmt.Sprintf("make durable: %s leads term %d\n", x.node, x.term)
	case doTail:
		s := ""
		if x.tail.Snapshot {
			s = ", only a snapshot helps"
		}
		return fmt.Sprintf("tell tail %d@%d in term %d%s\n", x.tail.Last.LSN, x.tail.Last.Term, x.tail.Term, s)
	case doKeep:
		return fmt.Sprintf("export what is behind %d before a snapshot replaces it\n", x.lsn)
	case doTruncate:
		return fmt.Sprintf("export and cut behind %d\n", x.lsn)
	case doCopy:
		return fmt.Sprintf("copy entries from index %d\n", x.n)
	case doRefuse:
		return fmt.Sprintf("refuse: %v\n", x.err)
	case doShow:
		return fmt.Sprintf("show %d\n", x.lsn)
	case doApply:
		return fmt.Sprintf("apply up to %d\n", x.lsn)
	}
	return fmt.Sprintf("effect %d\n", x.kind)
}

func storyState(c *core) string {
	return fmt.Sprintf("%s: %s in term %d, log %d@%d, flushed %d, commit %d, applied %d\n", c.self,
		[...]string{"idle", "follows", "leads"}[c.role], c.term, c.end, c.lastTerm, c.flushed, c.commit, c.applied)
}
