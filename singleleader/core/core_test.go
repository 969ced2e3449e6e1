package core

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

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
//	NAME EVENT [at=D] [node=… term=… life=… lsn=… n=… session=…]
//	NAME lead term=T rule=any-1|first-1|all|async voters=(a, b, c) [lives=(1, 1, 1)] [frozen] [slack=N] [lease=D wait=D heard], of the rule's members
//	NAME count, as lead
//	NAME ack node=b term=T [life=L] [written=N flushed=N round=R]
//	NAME cut session=S term=T asked=LSN@T to=LSN@T [history=(START@T, …)] [fork=LSN@T]
//	NAME begin … path=(a, b) last=LSN@T          passed on by b, which a feeds
//	NAME feeds node=… term=T last=LSN@T          whether it may feed that one
//	NAME append session=S term=T prev=LSN@T [entries=N@T …] [commit=N end=N round=R]
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/core", func(t *testing.T, path string) {
		cores := map[string]*Core{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "node" {
				c := storyNode(t, d)
				cores[string(c.Self)] = c
				return storyState(c)
			}
			c := cores[d.Cmd]
			require.NotNil(t, c, "%s: no node %q", d.Pos, d.Cmd)
			if d.CmdArgs[0].Key == "feeds" {
				return storyFeeds(c, storyArgs{t, d})
			}
			var b strings.Builder
			for _, x := range c.Step(storyEvent(t, d)) {
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

func (a storyArgs) dur(key string) (d time.Duration) {
	if s := a.str(key); s != "" {
		var err error
		d, err = time.ParseDuration(s)
		require.NoError(a.t, err, a.d.Pos)
	}
	return d
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

func storyNode(t *testing.T, d *datadriven.TestData) *Core {
	a := storyArgs{t, d}
	c := &Core{
		Self: topology.NodeID(d.CmdArgs[0].Key), Async: d.HasArg("async"),
		End: record.LSN(a.num("end")), LastTerm: a.num("term"), Flushed: record.LSN(a.num("flushed")),
		Applied: record.LSN(a.num("applied")), Commit: record.LSN(a.num("applied")),
		Term: a.num("accepted"), Leader: topology.NodeID(a.str("leader")),
	}
	return c
}

func storyEvent(t *testing.T, d *datadriven.TestData) Event {
	a := storyArgs{t, d}
	ev := Event{
		Node: topology.NodeID(a.str("node")), Life: a.num("life"), Term: a.num("term"),
		LSN: record.LSN(a.num("lsn")), N: int(a.num("n")), Session: a.num("session"),
		At: a.dur("at"), Slack: a.num("slack"), Lending: Lending{Lease: a.dur("lease"), Wait: a.dur("wait"), Heard: d.HasArg("heard")},
	}
	if p := a.str("path"); p != "" {
		ev.Relay = &Relay{Last: a.place("last")}
		for _, n := range strings.Split(p, ", ") {
			ev.Relay.Path = append(ev.Relay.Path, topology.NodeID(n))
		}
	}
	switch name := d.CmdArgs[0].Key; name {
	case "lead", "count":
		ev.Kind, ev.Frozen = EvLead, d.HasArg("frozen")
		if name == "count" {
			ev.Kind = EvCount
		}
		p, err := quorum.Parse(strings.ReplaceAll(a.str("rule"), "-", " "))
		require.NoError(t, err, d.Pos)
		var voters []topology.NodeID
		for _, v := range strings.Split(a.str("voters"), ", ") {
			voters = append(voters, topology.NodeID(v))
		}
		ev.Rule, err = quorum.NewRule(p, topology.NodeID(d.Cmd), voters)
		require.NoError(t, err, d.Pos)
		for _, l := range strings.Fields(strings.ReplaceAll(a.str("lives"), ",", "")) {
			n, err := strconv.ParseUint(l, 10, 64)
			require.NoError(t, err, d.Pos)
			ev.Lives = append(ev.Lives, n)
		}
	case "ack":
		ev.Kind = EvAck
		ev.Ack = stream.Ack{Term: a.num("term"), Written: record.LSN(a.num("written")), Flushed: record.LSN(a.num("flushed")), Round: a.num("round")}
	case "cut":
		ev.Kind = EvCut
		for _, arg := range d.CmdArgs {
			for _, v := range arg.Vals {
				var ts topology.TermStart
				if _, err := fmt.Sscanf(v, "%d@%d", &ts.Start, &ts.Term); err == nil && arg.Key == "history" {
					ev.History = append(ev.History, ts)
				}
			}
		}
		if f := a.place("fork"); f.Term > 0 {
			ev.Forks = []Fork{{Term: f.Term, At: f.LSN}}
		}
		ev.Cut = stream.Cut{Term: a.num("term"), Asked: a.place("asked"), To: a.place("to")}
	case "append":
		ev.Kind = EvAppend
		ev.Append = storyAppend(a)
	default:
		if ev.Kind = plain[name]; ev.Kind == 0 {
			d.Fatalf(t, "no event %q", name)
		}
	}
	return ev
}

// plain are the events that have nothing of their own.
var plain = map[string]EventKind{
	"accepted": EvAccepted, "pledged": EvPledged, "meet": EvMeet, "write": EvAppended, "flushed": EvFlushed, "applied": EvApplied,
	"read": EvRead, "begin": EvBegin, "truncated": EvTruncated, "gone": EvGone, "tick": EvTick, "yield": EvYield, "feeder": EvFeeder, "restored": EvRestored, "outrun": EvOutrun,
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

func storyEffect(x Effect) string {
	switch x.Kind {
	case DoStart:
		return fmt.Sprintf("append the start of term %d at %d\n", x.Term, x.LSN)
	case DoReceived:
		return fmt.Sprintf("received up to %d\n", x.LSN)
	case DoCommit:
		return fmt.Sprintf("commit up to %d\n", x.LSN)
	case DoAnswer:
		return fmt.Sprintf("answer reads up to round %d\n", x.Round)
	case DoRound:
		return fmt.Sprintf("ask round %d\n", x.Round)
	case DoStepDown:
		return fmt.Sprintf("step down from term %d\n", x.Term)
	case DoPersist:
		return fmt.Sprintf("make durable: %s leads term %d\n", x.Node, x.Term)
	case DoTail:
		s := ""
		if x.Tail.Snapshot {
			s = ", only a snapshot helps"
		}
		return fmt.Sprintf("tell tail %d@%d in term %d%s\n", x.Tail.Last.LSN, x.Tail.Last.Term, x.Tail.Term, s)
	case DoKeep:
		return fmt.Sprintf("export what is behind %d before a snapshot replaces it\n", x.LSN)
	case DoTruncate:
		return fmt.Sprintf("export and cut behind %d\n", x.LSN)
	case DoCopy:
		return fmt.Sprintf("copy entries from index %d\n", x.N)
	case DoRefuse:
		return fmt.Sprintf("refuse: %v\n", x.Err)
	case DoShow:
		return fmt.Sprintf("show %d\n", x.LSN)
	case DoApply:
		return fmt.Sprintf("apply up to %d\n", x.LSN)
	}
	return fmt.Sprintf("effect %d\n", x.Kind)
}

func storyState(c *Core) string {
	admits := ""
	if c.Lead.Admits() {
		admits = ", a new term is to count who is strange to this one"
	}
	return fmt.Sprintf("%s: %s in term %d, log %d@%d, flushed %d, commit %d, applied %d%s%s\n", c.Self,
		[...]string{"idle", "follows", "leads"}[c.Role], c.Term, c.End, c.LastTerm, c.Flushed, c.Commit, c.Applied, admits, storyLease(c))
}

// storyFeeds says whether c may feed a node, in a group in which a, b and f vote.
func storyFeeds(c *Core, a storyArgs) string {
	g := &Group{Voters: []topology.NodeID{"a", "b", "f"}}
	path, err := Feeds(c, g, Wish{Node: topology.NodeID(a.str("node")), Term: a.num("term"), Last: a.place("last")})
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	return fmt.Sprintf("feeds it, by %v\n", path)
}

func storyLease(c *Core) string {
	switch l := &c.Lead; {
	case c.Role != Leader || l.Lease.For == 0 && !l.Held:
		return ""
	case l.Held:
		return fmt.Sprintf(", acknowledges nothing before %v", l.Free)
	case Leased(c, c.now):
		return fmt.Sprintf(", leased until %v", l.Lease.Until)
	}
	return ", no lease"
}
