package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Each file of testdata/insync is a story of one group's document: who claims to
// lead, whom the leader lets in and out, and whom its commits wait for meanwhile. A
// node is written with the life of its directory, as b1.
//
//	group sync=first-1|all|async members=(a, b, c) [replicas=(d)] [order=(c, b)] [electors=(a)] [lag=N] [lease=D drift=D]
//	found SELF [accepted=T]                      the first document
//	claim SELF why=elected|restart|chosen|forced|restored [alive=(b1, …)] [pledged=(b1:LSN@TERM, …)] [accepted=T] [settled] [last=LSN@T]
//	held last=LSN@T                               whether a node whose log ends there may begin the document's term
//	handover NODE
//	add NODE [role=read-replica] [vote] | remove NODE   an operator, by the newest document
//	lead                                         how the leader of the document begins
//	pause
//	learn [version=V]                            the keeper is shown the document; V is the next one
//	next [healthy=(b1, …)] [caught=(b1, …)] [near=(b1, …)]   what the keeper would have
//	expect [heir=NODE]                           who is to lead next is to be let in
//	swap                                         the control takes what next said
//	waits
//	names SELF accepted=T                        whether SELF may begin the document's term
//	due SELF now=D heard=D [awake=D] [gone] [unmet]
func TestInSyncStories(t *testing.T) {
	datadriven.Walk(t, "testdata/insync", func(t *testing.T, path string) {
		s := &setting{}
		datadriven.RunTest(t, path, s.run)
	})
}

// setting is what a story has come to.
type setting struct {
	voting  Voting
	doc     Group // at the control
	version uint64
	keeper  Keeper
	next    *Group

	electors []string // who votes in the control
}

func (s *setting) run(t *testing.T, d *datadriven.TestData) string {
	a := storyArgs{t, d}
	var err error
	switch d.Cmd {
	case "group":
		return s.group(a)
	case "found", "claim":
		return s.claims(a)
	case "handover":
		var g Group
		if g, err = s.doc.Handover(topology.NodeID(d.CmdArgs[0].Key)); err == nil {
			s.doc, s.version = g, s.version+1
		}
	case "add", "remove":
		return s.member(a)
	case "lead":
		ev, err := s.doc.Lead()
		require.NoError(t, err)
		from := "the beginning of its term"
		if ev.Heard {
			from = "when it last heard of a leader"
		}
		return fmt.Sprintf("acknowledges nothing for %v from %s\n", ev.Wait, from)
	case "held":
		if err := Held(&s.doc, a.place("last")); err != nil {
			return fmt.Sprintf("may not: %v\n", err)
		}
		return "may\n"
	case "pause":
		g := *s.doc.Agreed
		g.Paused = true
		s.doc.Agreed = &g
	case "learn":
		version := s.version
		if d.HasArg("version") {
			version = a.num("version")
		}
		return fmt.Sprintf("news: %v\n%s", s.keeper.Learn(s.doc, version), s.waits())
	case "next":
		if s.next = nil; true {
			if g, ok := s.keeper.Next(s.fits(a)); ok {
				s.next = &g
				return fmt.Sprintf("asks from version %d for %s\n%s", s.keeper.Version, storyAgreed(&g), s.waits())
			}
			return "asks for nothing\n" + s.waits()
		}
	case "expect":
		s.keeper.Expect(topology.NodeID(a.str("heir")))
		return "expected\n"
	case "swap":
		s.doc, s.version = *s.next, s.version+1
	case "waits":
		return s.waits()
	case "names":
		return fmt.Sprintf("may begin term %d: %v\n", s.doc.Term, s.doc.Names(counted(t, d.CmdArgs[0].Key), a.num("accepted")))
	case "due":
		return s.due(a)
	default:
		d.Fatalf(t, "no command %q", d.Cmd)
	}
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	return fmt.Sprintf("version %d: %s\n", s.version, storyAgreed(&s.doc))
}

func (s *setting) group(a storyArgs) string {
	var err error
	s.voting.Sync, err = quorum.Parse(strings.ReplaceAll(a.str("sync"), "-", " "))
	require.NoError(a.t, err)
	s.voting.Members, s.voting.ReadReplicas = nil, nil
	for _, m := range strings.Split(a.str("members"), ", ") {
		s.voting.Members = append(s.voting.Members, topology.NodeID(m))
	}
	if r := a.str("replicas"); r != "" {
		s.voting.ReadReplicas = []topology.NodeID{topology.NodeID(r)}
	}
	s.voting.MinInSync = 0
	s.voting.Lag = a.num("lag")
	s.voting.Lease, s.voting.Drift = a.dur("lease"), a.dur("drift")
	if a.d.HasArg("min") {
		s.voting.MinInSync = int(a.num("min"))
	}
	if s.electors = nil; a.str("electors") != "" {
		s.electors = strings.Split(a.str("electors"), ", ")
	}
	if o := a.str("order"); o != "" {
		s.voting.Sync.Of = strings.Split(o, ", ")
	}
	return fmt.Sprintf("candidates %v\n", s.voting.Candidates())
}

// member begins a change of the members.
func (s *setting) member(a storyArgs) string {
	var configured []topology.Seat
	for _, m := range s.voting.Members {
		seat := topology.Seat{Member: topology.Member{ID: m, Addr: string(m) + ":1"}, Role: topology.MemberVoter}
		if slices.Contains(s.voting.ReadReplicas, m) {
			seat.Role = topology.MemberReadReplica
		}
		seat.Votes = slices.Contains(s.electors, string(m))
		configured = append(configured, seat)
	}
	id := topology.NodeID(a.d.CmdArgs[0].Key)
	var g Group
	var err error
	if a.d.Cmd == "remove" {
		g, err = s.doc.RemoveMember(configured, id)
	} else {
		seat := topology.Seat{Member: topology.Member{ID: id, Addr: string(id) + ":1"}, Role: topology.MemberVoter}
		if r := a.str("role"); r != "" {
			seat.Role = topology.MemberRole(r)
		}
		seat.Votes = a.d.HasArg("vote")
		if at := a.str("addr"); at != "" {
			seat.Addr = at
		}
		g, err = s.doc.AddMember(configured, seat)
	}
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	if g.Roster == s.doc.Roster {
		return "nothing to do\n"
	}
	s.doc, s.version = g, s.version+1
	back, err := DecodeGroup(g.Encode())
	require.NoError(a.t, err)
	require.Equal(a.t, g, back)
	return fmt.Sprintf("version %d: %s\n", s.version, storyAgreed(&g))
}

// counted reads a name and the digit of a life.
func counted(t *testing.T, s string) Counted {
	var c Counted
	_, err := fmt.Sscanf(s[1:], "%d", &c.Life)
	require.NoError(t, err, s)
	c.Node = topology.NodeID(s[:1])
	return c
}

func (a storyArgs) counted(key string) (out []Counted) {
	for _, v := range strings.Split(a.str(key), ", ") {
		if v != "" {
			out = append(out, counted(a.t, v))
		}
	}
	return out
}

func (s *setting) claims(a storyArgs) string {
	c := Claim{Voting: s.voting, Self: counted(a.t, a.d.CmdArgs[0].Key), Accepted: a.num("accepted"), Alive: a.counted("alive"), Settled: a.d.HasArg("settled")}
	for _, v := range strings.Split(a.str("pledged"), ", ") {
		if v != "" {
			r := Report{Accepted: s.doc.Term}
			_, err := fmt.Sscanf(v[2:], ":%d@%d", &r.Last.LSN, &r.Last.Term)
			require.NoError(a.t, err, v)
			m := counted(a.t, v[:2])
			r.Node, r.Life = m.Node, m.Life
			c.Pledged = append(c.Pledged, r)
		}
	}
	var g Group
	var err error
	if a.d.Cmd == "found" {
		g, err = c.Found()
	} else {
		c.Why = map[string]Why{"elected": Elected, "restart": Restart, "chosen": Chosen, "forced": Forced, "restored": Restored}[a.str("why")]
		c.Last = a.place("last")
		g, err = c.Succeed(s.doc)
	}
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	s.doc, s.version = g, s.version+1
	back, err := DecodeGroup(g.Encode())
	require.NoError(a.t, err)
	require.Equal(a.t, g, back)
	return fmt.Sprintf("version %d: %s\n", s.version, storyAgreed(&g))
}

func (s *setting) fits(a storyArgs) (fits []Fit) {
	caught, near := a.counted("caught"), a.counted("near")
	for _, c := range a.counted("healthy") {
		fits = append(fits, Fit{Counted: c, Healthy: true, Caught: slices.Contains(caught, c), Near: slices.Contains(near, c)})
	}
	return fits
}

func (s *setting) waits() string {
	set, frozen := s.keeper.Waits()
	state := ""
	if frozen {
		state = ", frozen"
	}
	return fmt.Sprintf("commits wait for %s%s\n", storyCounted(set), state)
}

func (s *setting) due(a storyArgs) string {
	at := func(key string) time.Duration {
		if (key == "awake" || key == "reigns" || key == "least") && !a.d.HasArg(key) {
			return 0
		}
		d, err := time.ParseDuration(a.str(key))
		require.NoError(a.t, err)
		return d
	}
	v := Vigil{FailAfter: time.Second, Now: at("now"), Heard: at("heard"), Awake: at("awake"), Met: !a.d.HasArg("unmet"), Gone: a.d.HasArg("gone"), Changes: &Changes{}}
	v.Reigns, v.MinReign = at("reigns"), at("least")
	when, why, stands := v.Due(&s.doc, s.version, counted(a.t, a.d.CmdArgs[0].Key), s.voting)
	if !stands {
		return "does not stand\n"
	}
	return fmt.Sprintf("stands at %v as %d\n", when, why)
}

func storyAgreed(g *Group) string {
	a := g.Agreed
	lease := ""
	if a.Lease > 0 || a.Wait > 0 {
		lease = fmt.Sprintf(", a lease of %v, after a wait of %v", a.Lease, a.Wait)
	}
	if a.Lag > 0 {
		lease += fmt.Sprintf(", may lose %d", a.Lag)
	}
	for _, f := range g.Forks {
		lease += fmt.Sprintf(", term %d goes on behind %d", f.Term, f.At)
	}
	out := fmt.Sprintf("term %d, in sync %s, eligible %s, minimum %d%s", g.Term, storyCounted(a.InSync), storyCounted(a.Eligible), a.Minimum, lease)
	if g.Roster == nil {
		return out
	}
	var seats []string
	for _, m := range g.Roster.Seats {
		seat := string(m.ID)
		if m.Role != topology.MemberVoter {
			seat += " (" + string(m.Role) + ")"
		}
		if m.Votes {
			seat += "*"
		}
		seats = append(seats, seat)
	}
	out += fmt.Sprintf(", %s; members %s", g.Policy, strings.Join(seats, ", "))
	if c := g.Roster.Change; c.Op != topology.NoChange {
		out += fmt.Sprintf("; %v %s", c.Op, c.Node)
	}
	return out
}

func storyCounted(cs []Counted) string {
	var out []string
	for _, c := range cs {
		life := fmt.Sprint(c.Life)
		if c.Life == noLife {
			life = "?"
		}
		out = append(out, string(c.Node)+life)
	}
	return "[" + strings.Join(out, " ") + "]"
}
