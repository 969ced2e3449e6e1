package call

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var (
	dot   = version.Dot{Origin: version.Origin{ID: 1, Incarnation: math.MaxUint32}, Seq: math.MaxUint64}
	token = topology.Token{Origin: dot.Origin, Term: 3, LSN: 9}
	every = []Option{
		Durability(topology.Applied), After(token), MaxStale(time.Second), MaxLag(7), Linearizable(), Any(), IfAbsent(), IfVersion(dot),
	}
)

// messages are one of each form, with what its decoder returns.
var messages = map[string]struct {
	bytes  []byte
	want   any
	decode func([]byte) (any, error)
}{
	"write": form(Write{
		Writes:     []One{{Table: "t", Key: []byte("k"), Value: []byte("v")}, {Table: "u", Key: []byte("l"), Remove: true}},
		Conditions: []Condition{{Table: "t", Key: []byte("k"), Option: IfValue([]byte("x"))}},
		Options:    []Option{Request(1, 2), Durability(topology.Received)},
	}, func(m Write) []byte { return m.Encode() }, DecodeWrite),
	"write that expires": form(Write{
		Writes: []One{{Table: "t", Key: []byte("k"), Value: []byte("v")}}, Options: []Option{TTL(time.Minute)},
	}, func(m Write) []byte { return m.Encode() }, DecodeWrite),
	"read":              form(Read{Table: "t", Key: []byte("k"), Options: every}, func(m Read) []byte { return m.Encode() }, DecodeRead),
	"read within bytes": form(Read{Table: "t", Key: []byte("k"), Options: []Option{MaxBytes(8)}}, func(m Read) []byte { return m.Encode() }, DecodeRead),
	"reading":           form(Reading{Value: []byte("v"), Dot: dot, Time: 5, Token: token, Served: "a", Stale: -1, Guarantee: topology.ReadSession}, func(m Reading) []byte { return m.Encode() }, DecodeReading),
	"sight":             form(Sight{Found: true, Reading: Reading{Value: []byte("v"), Dot: dot, Time: 5, Token: token, Served: "a", Guarantee: topology.ReadAny}}, func(m Sight) []byte { return m.Encode() }, DecodeSight),
	"sight of nothing":  form(Sight{Reading: Reading{Value: []byte{}, Token: token, Served: "a", Guarantee: topology.ReadAny}}, func(m Sight) []byte { return m.Encode() }, DecodeSight),
	"scan":              form(Scan{Table: "t", From: []byte("a"), To: []byte("b"), Items: 5, Options: []Option{Any()}}, func(m Scan) []byte { return m.Encode() }, DecodeScan),
	"page":              form(Page{Items: []Item{{Key: []byte("k"), Value: []byte{}, Dot: dot, Time: 4}}, More: true}, func(m Page) []byte { return m.Encode() }, DecodePage),
	"page of parts":     form(Page{Items: []Item{{Key: []byte("k"), Value: []byte("v"), Dot: dot, Time: 4}, {Key: []byte("s"), Value: []byte{}, Dot: dot, Time: 4, Kind: record.KindSet}}}, func(m Page) []byte { return m.Encode() }, DecodePage),
	"receipt":           form(topology.Receipt{Token: token, Dot: dot, LSN: 9, Term: 3, Time: 8, Durability: topology.Flushed, Durable: []topology.NodeID{"a", "b"}}, EncodeReceipt, DecodeReceipt),
	"parts":             form(Parts{Op: MapPut, Table: "t", Key: []byte("k"), Parts: [][]byte{[]byte("f"), {}}, Options: []Option{Request(1, 2)}}, func(m Parts) []byte { return m.Encode() }, DecodeParts),
	"parts to observe":  form(Parts{Op: MinObserve, Table: "t", Key: []byte("k"), By: -7}, func(m Parts) []byte { return m.Encode() }, DecodeParts),
	"parts to merge":    form(Parts{Op: SketchMerge, Table: "t", Key: []byte("k"), Parts: [][]byte{[]byte("l")}}, func(m Parts) []byte { return m.Encode() }, DecodeParts),
	"parts to count":    form(Parts{Op: CounterAdd, Table: "t", Key: []byte("k"), By: math.MinInt64}, func(m Parts) []byte { return m.Encode() }, DecodeParts),
	"changed":           form(Changed{Receipt: topology.Receipt{Token: token, Dot: dot, LSN: 9, Term: 3, Time: 8, Durability: topology.Flushed}, Number: -7}, func(m Changed) []byte { return m.Encode() }, DecodeChanged),
	"shown":             form(Shown{Parts: [][]byte{[]byte("a"), {}}, Number: 2, Token: token, Served: "a", Stale: -1, Guarantee: topology.ReadSession}, func(m Shown) []byte { return m.Encode() }, DecodeShown),
	"request":           form(record.RequestID{Client: math.MaxUint64, Seq: 7}, EncodeRequest, DecodeRequest),
	"forward": form(Forward{
		Proto: 3, Durability: topology.Applied, Reads: topology.ReadOptions{Guarantee: topology.ReadBounded, MaxStale: time.Second}, Token: token,
		Commands: []Command{
			{Queue: [][][]byte{{[]byte("SET"), []byte("k"), {}}}},
			{Atomic: true, Queue: [][][]byte{{[]byte("INCR"), []byte("n")}, {[]byte("DEL"), []byte("k")}}, Watched: []Place{{Table: 4, Key: []byte("k"), Dot: dot}, {Table: 1, Key: []byte("l")}}},
		},
	}, func(m Forward) []byte { return m.Encode() }, DecodeForward),
	"forwarded": form(Forwarded{
		Wrote: true, Receipt: topology.Receipt{Token: token, Dot: dot, LSN: 9, Term: 3, Time: 8, Durability: topology.Flushed, Durable: []topology.NodeID{"a", "b"}},
		Answers: [][]byte{[]byte("+OK\r\n"), []byte("*0\r\n")},
	}, func(m Forwarded) []byte { return m.Encode() }, DecodeForwarded),
	"members": form(Members{Self: "a", Leader: "a", Term: 3, All: []Member{
		{ID: "a", Addr: "h:1", Site: "eu", Liveness: topology.LivenessAlive, Role: topology.RoleLeader, Applied: 9},
		{ID: "b", State: "replicate", Applied: 7, Lag: topology.Lag{Records: 2, Bytes: 5, Time: time.Second}, Stale: -1, Delay: time.Minute},
	}}, func(m Members) []byte { return m.Encode() }, DecodeMembers),
	"members of sites": form(Members{Self: "a", Leader: "a", Term: 3, Apart: true, All: []Member{{ID: "a", Site: "eu"}}}, func(m Members) []byte { return m.Encode() }, DecodeMembers),
	"token":            form(token, EncodeToken, DecodeToken),
	"watch": form(Watch{Prefix: []byte("k"), State: true, Progress: true, Slot: "s", SlotBytes: 7}, func(m Watch) []byte { return m.Encode("t") },
		func(b []byte) (Watch, error) { _, m, err := DecodeWatch(b); return m, err }),
	"watch from a token": form(Watch{From: token}, func(m Watch) []byte { return m.Encode("") },
		func(b []byte) (Watch, error) { _, m, err := DecodeWatch(b); return m, err }),
	"change": form(Change{Kind: topology.ChangeWrite, Token: token, Dot: dot, Time: 4, Keys: []KeyChange{
		{Key: []byte("k"), Kind: record.KindBytes, Whole: true, Value: []byte{}, Expires: 5}, {Key: []byte("l"), Removed: true},
		{Key: []byte("m"), Kind: record.KindSet, Parts: []PartChange{{Name: []byte("x"), Value: []byte("v")}, {Name: []byte("y"), Removed: true}}},
	}}, func(m Change) []byte { return m.Encode() }, DecodeChange),
	"slot request": form(SlotRequest{Op: SlotAck, Name: "s", Table: "t", Prefix: []byte("k"), Token: token, Synced: true, Bytes: 7, Claim: 2},
		func(m SlotRequest) []byte { return m.Encode() }, DecodeSlotRequest),
	"slot":                   form(slot(""), func(m Slot) []byte { return m.Encode() }, func(b []byte) (Slot, error) { return DecodeSlot("", b) }),
	"slots":                  form([]Slot{slot("a"), {Name: "b", Token: token, Acked: time.UnixMilli(6)}}, EncodeSlots, DecodeSlots),
	"asked":                  form(Asked{Dot: dot, Term: 3}, Asked.Encode, DecodeAsked),
	"resolution":             form(topology.Resolution{Fate: topology.FateNotApplied, LSN: 9, Term: 4}, EncodeResolution, DecodeResolution),
	"force":                  form(true, EncodeForce, DecodeForce),
	"tables":                 form([]Table{{Name: "a", Kind: record.KindRow}, {Name: "b"}}, EncodeTables, DecodeTables),
	"tables with a TTL":      form([]Table{{Name: "a", Kind: record.KindSet, TTL: time.Hour}, {Name: "b"}}, EncodeTables, DecodeTables),
	"tables with a resolver": form([]Table{{Name: "a", Kind: record.KindBytes, TTL: time.Hour, Resolver: "stock@2"}, {Name: "b"}}, EncodeTables, DecodeTables),
	"reading of siblings": form(Reading{Value: []byte("v"), Dot: dot, Time: 5, Token: token, Served: "a", Stale: -1, Context: topology.ContextOf(nil), Siblings: []Sibling{
		{Value: []byte("v"), Dot: dot, Time: 5}, {Value: []byte{}, Removed: true, Dot: dot, Time: 6},
	}}, func(m Reading) []byte { return m.Encode() }, DecodeReading),
	"name":            form("users", EncodeName, DecodeName),
	"promoted":        form(topology.Promotion{Term: 4, Leader: "a", Start: 9, Reached: []topology.NodeID{"a"}, Missed: []topology.NodeID{"b"}}, EncodePromotion, DecodePromotion),
	"status":          form(status(topology.Scrub{}), EncodeStatus, DecodeStatus),
	"status scrubbed": form(status(topology.Scrub{Passes: 1, Ended: time.Unix(5, 6), Took: time.Hour, Bytes: 7, Damage: []string{"d"}}), EncodeStatus, DecodeStatus),
	"past": form(Past{
		Reigns: []topology.Reign{{Term: 1, Leader: "a", Cause: "first start", Time: time.Unix(1, 2), Start: 1}},
		Kept:   []topology.Kept{{Name: "00000001.entries", Why: "w", First: 3, Last: 4, Records: 2}},
	}, Past.Encode, DecodePast),
	"explanation of a leader that has just begun": form(topology.Explanation{
		Term: 3, Leader: "a", Policy: "all", Elects: true, Why: "w", Reign: time.Minute,
	}, EncodeExplanation, DecodeExplanation),
	"explanation": form(topology.Explanation{
		Term: 3, Leader: "a", Policy: "first 1 (b)", Elects: true, Paused: true, Winner: "b", Why: "w", BackOff: time.Second, Known: true, Tail: 4, Lost: 5,
		Contenders: []topology.Contender{{Node: "a", Role: topology.RoleLeader, Answers: true, InSync: true, Term: 3, End: 9, Behind: 1, Loses: 2, Reasons: []string{"r", "s"}}, {Node: "b"}},
	}, EncodeExplanation, DecodeExplanation),
	"conflicts asked": form(ConflictsAsked{After: ConflictPlace{LSN: 7, Change: 3}, Items: 5, ValueBytesMax: 64}, ConflictsAsked.Encode, DecodeConflictsAsked),
	"conflicts": form(Conflicts{All: []Conflict{{
		ConflictPlace: ConflictPlace{LSN: 7, Change: 3}, Table: "t", Key: []byte("k"), Field: []byte("f"), Type: topology.UpdateDelete,
		Winner: []Rival{{Site: "us", Dot: dot, Time: 5, Expires: 6, Kind: record.KindBytes, Value: []byte("v"), Bytes: 9}},
		Losers: []Rival{{Site: "eu", Dot: dot, Time: 4, Removed: true}},
	}}, More: true}, func(m Conflicts) []byte { return m.Encode() }, DecodeConflicts),
	"conflicts of resolvers": form(Conflicts{All: []Conflict{{
		ConflictPlace: ConflictPlace{LSN: 7}, Table: "t", Key: []byte("k"), Type: topology.Recreate, Resolver: "stock@2", Time: 5, By: dot,
	}}}, func(m Conflicts) []byte { return m.Encode() }, DecodeConflicts),
	"conflict order": form(ConflictOrder{At: ConflictPlace{LSN: 7, Change: 3}, Write: true, Loser: dot}, ConflictOrder.Encode, DecodeConflictOrder),
	"replayed": form(Replayed{Values: []Rival{{Site: "us", Dot: dot, Time: 5, Value: []byte("v"), Bytes: 1}}, Written: true, Receipt: topology.Receipt{Dot: dot, Token: token}},
		Replayed.Encode, DecodeReplayed),
	"verify": form(VerifyAsked{Tables: []string{"users"}, From: "us"}, VerifyAsked.Encode, DecodeVerifyAsked),
	"verified": form(Verification{
		Peers: []topology.VerifiedPeer{{Node: "eu1", Site: "eu", Cells: 9, Differ: 1, Undecided: 2, Problem: "p"}},
		Differences: []Difference{{
			Peer: "eu1", Site: "eu", Table: "t", Key: []byte("k"), Field: []byte("f"), Repaired: true,
			Mine: []Rival{{Site: "us", Dot: dot, Time: 5, Kind: record.KindBytes, Value: []byte("v"), Bytes: 9}},
		}},
	}, func(m Verification) []byte { return m.Encode() }, DecodeVerification),
	"repair": form(RepairAsked{Tables: []string{"users"}, From: "b", Part: -1, Check: true, Reread: true}, RepairAsked.Encode, DecodeRepairAsked),
	"repaired": form(Repaired{
		Verification: Verification{Peers: []topology.VerifiedPeer{{Node: "b", Cells: 9, Differ: 1}}},
		Parts:        4, Reread: 5, Corrected: 6, Leaves: 7, Differ: 3, Mended: 2, Unclear: 1, Bytes: 8,
	}, func(m Repaired) []byte { return m.Encode() }, DecodeRepaired),
	"collection": form(topology.Collection{Kept: 2, Collected: 3, Holds: []topology.Holding{{Node: "b", Partitions: 4, Writes: 5, Silent: 6, Why: "w"}}},
		func(c topology.Collection) []byte { return EncodeCollection(&c) }, DecodeCollection),
	"restore": form(Restore{To: topology.Point{LSN: 7, Time: time.Unix(8, 9)}, GiveUp: 10}, Restore.Encode, DecodeRestore),
	"restored": form(topology.Restoration{
		Promotion: topology.Promotion{Term: 4, Leader: "d", Start: 9, Reached: []topology.NodeID{"a"}, Missed: []topology.NodeID{"b"}},
		At:        8, Time: time.Unix(1, 2), Last: 11, First: time.Unix(3, 4), Newest: time.Unix(5, 6), Records: 3,
	}, EncodeRestoration, DecodeRestoration),
	"count":           form(uint64(7), EncodeCount, DecodeCount),
	"status standing": form(standing(), EncodeStatus, DecodeStatus),
	"status changing": form(changing(), EncodeStatus, DecodeStatus),
	"seat":            form(topology.Seat{Member: topology.Member{ID: "d", Addr: "h:1", Site: "eu"}, Role: topology.MemberVoter, Votes: true}, EncodeSeat, DecodeSeat),
	"status leased":   form(leased(), EncodeStatus, DecodeStatus),
	"status fed":      form(fed(), EncodeStatus, DecodeStatus),
	"status seats":    form(seats(), EncodeStatus, DecodeStatus),
	"status shares":   form(shares(), EncodeStatus, DecodeStatus),
	"site change":     form(SiteChange{Op: SiteAdd, Site: "ap", Links: []string{"us"}, Force: true}, EncodeSiteChange, DecodeSiteChange),
	"status of sites": form(sited(), EncodeStatus, DecodeStatus),
}

func sited() topology.Status {
	s := standing()
	s.Site = "us"
	s.Sites = []topology.SiteStatus{{
		Site: "eu", Number: 2, Own: true, State: "up", Peer: "eu1", Applied: 3,
		Behind: topology.Lag{Records: 4, Bytes: 5, Time: 6}, Ahead: topology.Lag{Records: 7, Bytes: 8, Time: 9}, Said: time.Unix(10, 11), Problem: "p",
	}}
	return s
}

func standing() topology.Status {
	s := status(topology.Scrub{Passes: 1, Ended: time.Unix(5, 6), Took: time.Hour, Bytes: 7, Damage: []string{"d"}})
	s.Standing = topology.Standing{Delay: s.Delay, Sync: true, Stale: -1, Reached: time.Unix(7, 8), Undefined: []string{"t"}, Paused: true}
	s.Peers[0].Sent = 9
	return s
}

func changing() topology.Status {
	s := sited()
	s.Change = topology.MemberChange{Op: topology.Removing, Node: "d", Waits: "w"}
	return s
}

func leased() topology.Status {
	s := changing()
	s.Lease = time.Second
	return s
}

func fed() topology.Status {
	s := leased()
	s.Upstream, s.Peers[0].Upstream = "c", "d"
	return s
}

func seats() topology.Status {
	s := fed()
	s.Sites = append([]topology.SiteStatus(nil), s.Sites...)
	s.Sites[0].Standing, s.Sites[0].Holds, s.Sites[0].Snapshot = "joining", 7, "3 cells"
	return s
}

func shares() topology.Status {
	s := seats()
	s.Sites = append([]topology.SiteStatus(nil), s.Sites...)
	s.Sites[0].ReadOnly, s.Sites[0].Without = true, []topology.SkippedTable{{Table: "t", Records: 12}}
	return s
}

func slot(name string) Slot {
	return Slot{
		Name: name, Table: "t", ID: 16, Prefix: []byte("k"), Token: token, Synced: true, Bytes: 7, Claim: 2, Acked: time.UnixMilli(5),
		Dropped: time.UnixMilli(9), DroppedAt: 8,
	}
}

func status(scrub topology.Scrub) topology.Status {
	return topology.Status{
		Node: "a", Cluster: "c", Kind: "k", Role: topology.RoleLeader, Leader: "a", Term: 1, Policy: "p", Since: time.Unix(1, 2),
		First: 1, End: 2, Flushed: 3, Commit: 4, Applied: 5, Lag: topology.Lag{Records: 1, Bytes: 2, Time: 3}, Standing: topology.Standing{Delay: time.Minute},
		Peers:   []topology.PeerStatus{{Node: "b", Addr: "h:1", State: "probe", Sync: true, Written: 1, Flushed: 2, Applied: 3, Lag: topology.Lag{Time: 1}, Contact: time.Unix(3, 4), Problem: "x"}},
		Rewound: 6, Failure: "f", Warnings: []string{"w"}, Scrub: scrub,
	}
}

type entry = struct {
	bytes  []byte
	want   any
	decode func([]byte) (any, error)
}

func form[T any](v T, encode func(T) []byte, decode func([]byte) (T, error)) entry {
	return entry{encode(v), v, func(b []byte) (any, error) { return decode(b) }}
}

func TestEveryMessageComesBackAsItWasSent(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			got, err := m.decode(m.bytes)
			require.NoError(t, err)
			require.Equal(t, m.want, got)
		})
	}
}

// A field that Status gets must travel: this fails until it does.
func TestEveryFieldOfAStatusTravels(t *testing.T) {
	full := messages["status shares"].want.(topology.Status)
	for _, v := range []reflect.Value{reflect.ValueOf(full), reflect.ValueOf(full.Sites[0]), reflect.ValueOf(full.Peers[0]), reflect.ValueOf(full.Scrub), reflect.ValueOf(full.Standing)} {
		for i := range v.NumField() {
			require.False(t, v.Field(i).IsZero(), "set %s in the test", v.Type().Field(i).Name)
		}
	}
	got, err := DecodeStatus(EncodeStatus(full))
	require.NoError(t, err)
	require.Equal(t, full, got)
}

func TestAMessageThatIsNotWholeIsMalformed(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			for n := range len(m.bytes) {
				_, err := m.decode(m.bytes[:n])
				require.ErrorIs(t, err, topology.ErrMalformed, "cut to %d", n)
			}
			_, err := m.decode(append(m.bytes[:len(m.bytes):len(m.bytes)], 0xc0))
			require.ErrorIs(t, err, topology.ErrMalformed, "a byte after the end")
		})
	}
	require.ErrorIs(t, DecodeNothing(nil), topology.ErrMalformed)
	require.NoError(t, DecodeNothing(EncodeNothing()))
}

func TestAMessageOfAnotherFormatOrWithMoreFieldsIsRefused(t *testing.T) {
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			at := 1 // behind the header of the array
			if m.bytes[0] == 0xdc {
				at = 3
			}
			b := append([]byte(nil), m.bytes...)
			b[at] = formatShares + 1
			_, err := m.decode(b)
			require.ErrorIs(t, err, topology.ErrUnsupported)
			b = append([]byte(nil), m.bytes...)
			b[at-1]++
			_, err = m.decode(append(b, 0xc0))
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func TestFormatTwoIsForWhatFormatOneCannotSay(t *testing.T) {
	plain := EncodeTables([]Table{{Name: "a"}})
	require.EqualValues(t, format, plain[1])
	_, err := DecodeTables([]byte("\x92\x02\x93\xa1a\x00\x00"))
	require.ErrorIs(t, err, topology.ErrMalformed, "no table has a TTL")
	page := Page{Items: []Item{{Key: []byte("k"), Kind: record.KindMap}}}
	b := page.Encode()
	b[len(b)-2] = byte(record.KindAny)
	_, err = DecodePage(b)
	require.ErrorIs(t, err, topology.ErrMalformed, "no key has parts")
	require.ErrorIs(t, second(DecodeName(EncodeName(strings.Repeat("a", TableBytesMax+1)))), topology.ErrMalformed)
}

func second[T any](_ T, err error) error { return err }

func TestAnyBytesAreReadOrRefused(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(rt, "bytes")
		for _, m := range messages {
			_, err := m.decode(b)
			if err != nil && !strings.Contains(err.Error(), "malformed") {
				require.ErrorIs(rt, err, topology.ErrUnsupported)
			}
		}
	})
}

// FuzzMessages gives any bytes to every decoder: they are refused, and what is taken
// of a write comes back as it was written.
func FuzzMessages(f *testing.F) {
	for _, m := range messages {
		f.Add(m.bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range messages {
			_, _ = m.decode(b)
		}
		_ = DecodeNothing(b)
		if m, err := DecodeWrite(b); err == nil {
			again, err := DecodeWrite(m.Encode())
			require.NoError(t, err)
			require.Equal(t, m, again)
		}
		if s, err := DecodeStatus(b); err == nil {
			again, err := DecodeStatus(EncodeStatus(s))
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
	})
}

func TestAnUnknownOptionIsRefused(t *testing.T) {
	for name, o := range map[string]Option{
		"of no kind": {}, "of two kinds": {wish: WishAny | WishAfter}, "of a later version": {wish: 1 << 15},
	} {
		t.Run(name, func(t *testing.T) {
			m := Read{Table: "t", Key: []byte("k"), Options: []Option{o}}
			_, err := DecodeRead(m.Encode())
			require.ErrorIs(t, err, topology.ErrMalformed)
		})
	}
}

func TestListsHaveLimits(t *testing.T) {
	options := Read{Table: "t", Key: []byte("k"), Options: make([]Option, optionsMax+1)}
	for i := range options.Options {
		options.Options[i] = Any()
	}
	_, err := DecodeRead(options.Encode())
	require.ErrorIs(t, err, topology.ErrMalformed)

	page := Page{Items: make([]Item, PageItemsMax+1)}
	_, err = DecodePage(page.Encode())
	require.ErrorIs(t, err, topology.ErrMalformed)

	write := Write{Writes: make([]One, record.MutationsMax+1)}
	_, err = DecodeWrite(write.Encode())
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.ErrorIs(t, write.Check(), topology.ErrTooLarge)

	write = Write{Conditions: make([]Condition, record.ConditionsMax+1)}
	for i := range write.Conditions {
		write.Conditions[i].Option = IfAbsent()
	}
	_, err = DecodeWrite(write.Encode())
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.ErrorIs(t, write.Check(), topology.ErrTooLarge)

	for _, name := range []string{strings.Repeat("x", TableBytesMax+1)} {
		m := Read{Table: name, Key: []byte("k")}
		_, err := DecodeRead(m.Encode())
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestAPageHasALength(t *testing.T) {
	for given, want := range map[int]int{0: PageItemsMax, -5: PageItemsMax, 7: 7, PageItemsMax + 9: PageItemsMax} {
		m := Scan{Table: "t", Items: given}
		got, err := DecodeScan(m.Encode())
		require.NoError(t, err)
		require.Equal(t, want, got.Items)
	}
}

func TestWhatIsLongInAStatusIsCut(t *testing.T) {
	s := topology.Status{Policy: strings.Repeat("é", textBytesMax), Failure: "\xff", Warnings: make([]string, warningsMax+5), Peers: make([]topology.PeerStatus, nodesMax+1)}
	got, err := DecodeStatus(EncodeStatus(s))
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", textBytesMax/2), got.Policy)
	require.Equal(t, "\uFFFD", got.Failure)
	require.Len(t, got.Warnings, warningsMax)
	require.Len(t, got.Peers, nodesMax)
}

func TestAWriteIsHeldToWhatCanBeSent(t *testing.T) {
	long, big := make([]byte, record.KeyBytesMax+1), make([]byte, record.ValueBytesMax)
	k := []byte("k")
	for name, tc := range map[string]struct {
		write Write
		want  error
	}{
		"an empty key":         {Write{Writes: []One{{}}}, topology.ErrMalformed},
		"a long key":           {Write{Writes: []One{{Key: long}}}, topology.ErrTooLarge},
		"a large value":        {Write{Writes: []One{{Key: k, Value: append(big, 0)}}}, topology.ErrTooLarge},
		"large values":         {Write{Writes: []One{{Key: k, Value: big}}}, topology.ErrTooLarge},
		"a condition's key":    {Write{Writes: []One{{Key: k}}, Conditions: []Condition{{}}}, topology.ErrMalformed},
		"a condition's length": {Write{Writes: []One{{Key: k}}, Conditions: []Condition{{Key: long}}}, topology.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, tc.write.Check(), tc.want) })
	}
	good := Write{Writes: []One{{Key: k, Value: big[:len(big)-1]}}, Conditions: []Condition{{Key: k}}}
	require.NoError(t, good.Check())
	require.ErrorIs(t, CheckBounds(append(long, 0), nil), topology.ErrTooLarge)
	require.NoError(t, CheckBounds(nil, long))
}
