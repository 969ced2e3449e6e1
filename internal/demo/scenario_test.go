package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/topology"
)

// found is the layout of a name.
func found(t *testing.T, name string) *Layout {
	t.Helper()
	l, err := Find(name)
	require.NoError(t, err)
	return l
}

// fileOf is a cluster file with that text.
func fileOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// small is a cluster that nobody has a scenario for.
const small = `
cluster: shop
topology: {sync: first 1 (b)}
sites:
  here: {nodes: [b, a]}
  there: {nodes: [c], delay: {here: 5ms}}
nodes: {a: leader, b: standby, c: read-replica}
tables: {users: row, files: bytes}
`

func TestEveryReadyClusterHoldsWhatItShows(t *testing.T) {
	for name, said := range map[string][]string{
		"semi-sync-trio": {
			`(?m)^  replica-1 +follower +- +sync +none`, `(?m)^  replica-2 +follower +- +async +none`,
			`a write with 1s of patience: .*timed out.*outcome unknown`,
			`a write that had waited was acknowledged at primary, replica-1`,
			`failover --to replica-2\n.*not among the voters`,
			`3 nodes have applied all \d+ records and hold the same bytes`,
		},
		"payments": {
			`(?m)^  reports +read-replica +- +async`, `(?m)^  delayed +read-replica +- +async +none +1s`,
			`delayed shows everything 1s late; the file says 30s`,
			`(?m)^  standby +standby +\d+.00 +1\.1:\d+$`,
			`failover --to reports\n.*reports is a read replica, which is not made leader`,
			`failover --to delayed\n.*delayed is a read replica, which is not made leader`,
			`4 nodes have applied all \d+ records and hold the same bytes`,
		},
		"leaderless": {
			`5 nodes take writes; every key has 3 copies, of which a write waits for 2 and a read hears 2`,
			`125 reads, at every node, each found the write before it`, `\d+ of \d+ reads right after the write were stale`,
			`n5 was killed`, `n5 shows, of what it holds itself, all that it missed`, `n2 was killed, and its directory is gone`,
			`no removed key came back`, `ring apply --add n6=127\.0\.0\.1:\d+\n`, `(?m)^  n6 +0 +\d+ +\d+ %$`,
			`n6 holds \d+ of 32 partitions, .* none is lost and every read found the write before it`, `6 nodes show the same bytes`,
		},
		"active-active": {
			`every key has 3 copies; writes wait for local_quorum and reads for local_quorum`, `(?m)^  us +us1, us2 +40ms to eu, 55ms to ap$`,
			`6 nodes in 3 sites take writes; every key has 3 copies, at least one in each site`, `(?m)^  eu +eu2 +eu[12]\S* .*s$`,
			`both were acknowledged, and all 6 nodes show "Bob of (us|eu)"`, `all nodes of ap were killed`,
			`20 writes were acknowledged in their own sites .* and one by a quorum of all sites; one that wanted each site was refused`,
			`ap shows, of its own copies, all that it missed`, `6 nodes show the same bytes`,
		},
		"multi-leader": {
			`(?m)^  us +1 +us1 +us2 +80ms to eu, 110ms to ap$`, `(?m)^  eu +a read +after the token +Alice +\d`,
			`(?m)^ +\d+ +users/1002 +(insert/insert|update/update) +lww@1 +(eu|us) [0-9:.]+: Bob of (eu|us) +(eu|us) [0-9:.]+: Bob of (eu|us)$`,
			`us1 was killed\n.*failover --to us2 --force\n.*not reached: us1\n`, `us1 is back, and follows us2`,
			`(?m)^ +\d+ +users/1003 +insert/insert +lww@1 +ap `, `(?m)^ +\d+ +users/1004 +update/delete +lww@1 +ap .*: removed$`,
			`(?m)^  users +lww +Faye of us +Faye, of ap +Faye, of ap$`, `(?m)^  accounts +first-writer +Faye of us +Faye, of ap +Faye of us$`,
			`(?m)^  prices +site-priority\(us, eu\) .* Faye of us$`, `(?m)^  notes +siblings .* Faye of us \| Faye, of ap$`,
			`(?m)^  mottos +longest .* Faye with the longer name, of us$`, `(?m)^  profiles +fields .* city Faye of us, name Faye, of ap$`,
			`conflicts revert \d+: "Faye of us" again`, `notes/1005: a write with the context of both replaced both`,
			`6 nodes in 3 sites hold the same bytes`,
		},
		"two-and-a-witness": {
			`(?m)^  witness +witness +- +votes `, `left leads term 1; a write is on the disks of left, right, and witness keeps none of it`,
			`right took over in term \d+ by its vote and that of witness, with all 2 acknowledged writes`, `left is started again`,
			`left took over in term \d+ by its vote and that of witness, with all 4 acknowledged writes`,
			`without witness the two go on in term \d+: LSN \d+ is on the disks of left, right`,
			`2 nodes have applied all \d+ records and hold the same bytes`,
		},
		"geo-readers": {
			`(?m)^  us1 +read-replica +us +async +40ms`, `(?m)^  ap1 +read-replica +ap +async +90ms`,
			`(?m)^  us +bounded, 5s +us1 +Alice `, `(?m)^  us +after its token +us1 +Alice 2 `,
			`(?m)^  ap +linearizable +ap1 +Alice 3 +\d`, `(?m)^  ap +at the leader +eu1 +Alice 3 +\d`,
			`(?m)^  ap1 +ap +90ms +\d`,
			`4 nodes have applied all \d+ records and hold the same bytes`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, out := playing(t, Options{Layout: found(t, name)})
			require.NoError(t, d.run(t.Context()), "%s", out)
			require.NotContains(t, out.String(), "FAILED")
			require.Regexp(t, regexp.MustCompile(`ok: ([45689]|10) checks held, every node ended in order`), out.String())
			for _, s := range said {
				require.Regexp(t, regexp.MustCompile(s), out.String())
			}
		})
	}
}

func TestAFileOfTwoNodesAndAWitnessIsPlayedAsAnyOther(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Layout: found(t, fileOf(t, `
topology: {sync: first 1, min_in_sync: 1}
control: {kind: raft}
sites: {here: {nodes: [a, b]}, there: {nodes: [w], delay: {here: 5ms}}}
nodes: {a: leader, b: standby, w: witness}
`))})
	require.NoError(t, d.run(t.Context()), "%s", out)
	require.Regexp(t, `(?m)^  w +witness +there +votes +5ms`, out.String())
	require.Contains(t, out.String(), "2 nodes have applied all")
	require.Contains(t, out.String(), "ok: 4 checks held")
	for _, text := range []string{small, "nodes: {a: leader, b: standby, w: witness}\ncontrol: {kind: raft}\ntopology: {sync: first 1}\n"} {
		_, err := newDemo(Options{Layout: found(t, fileOf(t, text)), Scenario: ScenarioWitness})
		require.ErrorIs(t, err, ErrInput)
	}
}

func TestAFileIsPlayedWithTheScenarioOfAnyCluster(t *testing.T) {
	t.Parallel()
	file := fileOf(t, small)
	d, out := playing(t, Options{Layout: found(t, file)})
	require.NoError(t, d.run(t.Context()), "%s", out)
	require.Contains(t, out.String(), "triad demo "+file+": 3 nodes, in this process")
	for _, said := range []string{
		`(?m)^  a +leader +here`, `(?m)^  b +follower +here +sync +none`, `(?m)^  c +read-replica +there +async +5ms`,
		`30 writes to 3 tables`, `(?m)^  c +read-replica +\d+ +10 +10 +10 +[0-9a-f]{16}$`, "ok: 4 checks held",
	} {
		require.Regexp(t, regexp.MustCompile(said), out.String())
	}
}

func TestASiteElectsItsNextLeaderWhileAnotherIsCutOff(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Layout: found(t, fileOf(t, `
cluster: shop
topology: {kind: multi-leader, sync: first 1}
control: {kind: raft}
sites:
  us: {nodes: [us1, us2, us3]}
  eu: {nodes: [eu1, eu2, eu3], delay: {us: 20ms}}
`))})
	require.NoError(t, d.run(t.Context()), "%s", out)
	require.Regexp(t, `us1 was killed\n  us[23] leads us now; no operator was asked\n`, out.String())
	require.Contains(t, out.String(), "6 nodes in 2 sites hold the same bytes")
}

func TestALeaderThatIsLostIsReplacedAndComesBack(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Scenario: ScenarioFailover})
	require.NoError(t, d.run(t.Context()), "%s", out)
	for _, said := range []string{
		`3 writes, given up after 300ms: .*outcome unknown`,
		`standby-\d leads term \d+, \S+ after leader was lost to the others; no operator was asked`,
		`leader is back, and follows standby-\d`,
		`triad rewound list \S+leader\n.*\n +00000001.entries +\d+ +\d+ +3 `,
		`(?m)^ +\d+ +1 +1\.1:\d+ +2001 +not applied$`, `(?m)^ +\d+ +1 +1\.1:\d+ +2003 +not applied$`,
		`4 nodes have applied all \d+ records and hold the same bytes`, "ok: 5 checks held, every node ended in order",
	} {
		require.Regexp(t, regexp.MustCompile(said), out.String())
	}
	require.NoDirExists(t, d.dir)
}

func TestReadersOfALateFollowerSeeAnomaliesAndNoneWithTokens(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Scenario: ScenarioLag})
	require.NoError(t, d.run(t.Context()), "%s", out)
	for _, said := range []string{
		`(?m)^  standby-3 +follower +- +async +none +100ms`,
		`for example: Alice wrote "Alice \d+", and standby-3 showed her "Alice \d+"`,
		`for example: standby-1 showed "Bob \d+", and after that standby-3 showed "Bob \d+"`,
		`for example: standby-1 showed "Answer \d+", and standby-3 showed nothing where the question is`,
		`ok: reads that missed their reader's own write: \d+ in 10 rounds without tokens, none in 10 with them`,
		`ok: reads that went back in time: \d+ in 10 rounds without tokens, none in 10 with them`,
		`ok: answers without their question: \d+ in 10 rounds without tokens, none in 10 with them`,
		`4 nodes have applied all \d+ records and hold the same bytes`, "ok: 5 checks held, every node ended in order",
	} {
		require.Regexp(t, regexp.MustCompile(said), out.String())
	}
}

func TestAnAnomalyIsOneWithoutTokensAndAFailureWithThem(t *testing.T) {
	naive, careful := tally{found: 3, told: "x"}, tally{}
	require.NoError(t, judge("stale reads", naive, careful))
	require.EqualError(t, judge("stale reads", tally{}, careful), "stale reads: none in 10 rounds without tokens, though a follower is late")
	require.EqualError(t, judge("stale reads", naive, naive), "stale reads: 3 in 10 rounds with tokens: x")
	round := func(_ context.Context, i int, careful bool) (anomaly, error) {
		return anomaly{found: i > 8, told: fmt.Sprint(i, careful), took: time.Duration(i)}, nil
	}
	got, err := rounds(t.Context(), 0, true, round)
	require.NoError(t, err)
	require.Equal(t, tally{found: 2, told: "9 true", longest: lagRounds}, got)
}

// numb is a life that does nothing about its links.
type numb struct{ life }

func (numb) tell(context.Context, string) error { return nil }

func TestAScenarioFailsWhereItsClaimDoesNotHold(t *testing.T) {
	for name, c := range map[string]struct {
		cluster, on string
		harm        func(*demo)
		said        string
	}{
		"a leader that should be cut off is not": {"single-leader", "phase 2", func(d *demo) {
			for _, n := range d.c.nodes {
				n.life = numb{n.life}
			}
		}, `FAILED: users/2001 was written to a leader that is cut off; its outcome should be unknown`},
		"what a leader gave up is lost": {"single-leader", "leader is back", func(d *demo) {
			files, _ := filepath.Glob(filepath.Join(d.dir, "leader", "aside", "*"))
			for _, f := range files {
				_ = os.Remove(f)
			}
		}, `FAILED: 3 writes that leader alone had are in none of its side files`},
		"the synchronous replica is not cut off": {"semi-sync-trio", "phase 3", func(d *demo) {
			for _, n := range d.c.nodes {
				n.life = numb{n.life}
			}
		}, `FAILED: LSN \d+ was acknowledged at primary, replica-1 while replica-1 was cut off`},
		"a table is settled otherwise than its file says": {"multi-leader", "phase 3", func(d *demo) {
			for i := range d.c.of.Tables {
				if t := &d.c.of.Tables[i]; t.Name == "accounts" {
					t.Resolver = "site-priority(ap)"
				}
			}
		}, `FAILED: us1 shows \["Faye of us"\] for accounts/1005, which "site-priority\(ap\)" should settle as \["Faye, of ap"\]`},
		"a site that should be cut off is not": {"multi-leader", "phase 5", func(d *demo) {
			for _, n := range d.c.nodes {
				n.life = numb{n.life}
			}
		}, `FAILED: (us|ap)1 shows "Charlie of (us|ap)", which (us|ap) wrote while it was cut off`},
		"a failover that should be refused is not": {"semi-sync-trio", "phase 4", forced, `FAILED: a failover to replica-2, a standby, succeeded`},
		"a read replica can be made leader":        {"payments", "phase 3", forced, `FAILED: a failover to reports, a read-replica, succeeded`},
		"the delayed replica is not late": {"payments", "triad demo", func(d *demo) {
			d.c.node("delayed").ApplyDelay = 0
		}, `FAILED: 5 looks came too late`},
		"a node that joins dies": {"leaderless", "ring apply", func(d *demo) {
			if err := d.c.node("n6").life.kill(context.Background()); err != nil {
				panic(err)
			}
		}, `FAILED: .*n6`},
		"a link is faster than its delay": {fileOf(t, small), "triad demo", func(d *demo) {
			for _, s := range d.c.of.Sites {
				for i := range s.Delay {
					s.Delay[i].Delay *= 20
				}
			}
		}, `FAILED: linearizable in there took .*: the leader is 200ms there and back`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Layout: found(t, c.cluster)}
			switch {
			case !o.Layout.Ready:
				o.Scenario = ScenarioReaders
			case c.cluster == NameDefault:
				o.Scenario = ScenarioFailover
			}
			d, out := playing(t, o)
			out.when(c.on, func() { c.harm(d) })
			require.ErrorIs(t, d.run(t.Context()), ErrCheck)
			require.Regexp(t, regexp.MustCompile(c.said), out.String())
			require.NoDirExists(t, d.dir)
		})
	}
}

// forced makes every failover a forced one.
func forced(d *demo) {
	d.o.Failover = func(ctx context.Context, endpoints []string, to topology.NodeID, _ bool) (topology.Promotion, error) {
		return promote(ctx, endpoints, to, true)
	}
}

func TestAClusterIsFoundByNameOrFile(t *testing.T) {
	require.Equal(t, NameDefault, found(t, "").Name)
	require.Equal(t, []string{"active-active", "geo-readers", "leaderless", "multi-leader", "payments", "semi-sync-trio", "single-leader", "two-and-a-witness"}, Names())
	for name, want := range map[string]string{
		"semi-sync-tiro": `there is no demo "semi-sync-tiro"; did you mean semi-sync-trio? (there are: active-active, geo-readers, leaderless, multi-leader, payments, semi-sync-trio, single-leader, two-and-a-witness; or name a file, as in ./cluster.yaml)`,
		"x":              `there is no demo "x" (there are: active-active, geo-readers,`,
		"./none.yaml":    "no such file or directory",
		"none.yml":       "no such file or directory",
		t.TempDir():      "is a directory",
		fileOf(t, "#"+strings.Repeat(" ", fileBytesMax)): "more than 1048576 bytes are no cluster file",
	} {
		_, err := Find(name)
		require.ErrorIs(t, err, ErrInput)
		require.ErrorContains(t, err, want)
	}
	file := fileOf(t, "topology: {kind: leadership}\nnodes: {a: leader}\n")
	_, err := Find(file)
	var refused *strict.Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, file+":1:18: topology.kind: ")
}

func TestAClusterIsCalledAsItsFileSaysOrAsItsCaller(t *testing.T) {
	require.Equal(t, "triad", found(t, "payments").ClusterName(""))
	require.Equal(t, "mine", found(t, "payments").ClusterName("mine"))
	require.Equal(t, "shop", found(t, fileOf(t, small)).ClusterName(""))
}

// echo is a door that answers whoever comes with the name of its node.
type echo struct{ name string }

func (e echo) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		_, err = c.Write([]byte(e.name))
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
}

func TestRedisClientsAreAnsweredWhereThereIsADoor(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Layout: found(t, fileOf(t, small)), RESP: func(n *triad.Node, c *config.Node, _ *slog.Logger) (Door, error) {
		return echo{name: c.Cluster + "/" + string(n.ID())}, nil
	}})
	d.o.Once = false
	ctx, interrupt := context.WithCancel(t.Context())
	out.when("redis-cli -p", func() {
		for _, n := range d.c.nodes {
			c, err := net.Dial("tcp", n.resp)
			require.NoError(t, err)
			b := make([]byte, 64)
			size, err := c.Read(b)
			require.NoError(t, err)
			require.Equal(t, "shop/"+string(n.ID), string(b[:size]))
			require.NoError(t, c.Close())
		}
		interrupt()
	})
	require.NoError(t, d.run(ctx), "%s", out)
	_, port, err := net.SplitHostPort(d.c.node("a").resp)
	require.NoError(t, err)
	require.Contains(t, out.String(), "  redis-cli -p "+port+"\n")
	require.Contains(t, out.String(), "  triad status --cluster shop --endpoints ")
	require.Contains(t, out.String(), "  triad failover --to b --cluster shop")
}

func TestADoorThatCanNotBeOpenedEndsTheDemo(t *testing.T) {
	t.Parallel()
	d, _ := playing(t, Options{Layout: found(t, "semi-sync-trio"), RESP: func(*triad.Node, *config.Node, *slog.Logger) (Door, error) {
		return nil, os.ErrPermission
	}})
	require.ErrorIs(t, d.run(t.Context()), os.ErrPermission)
}

func TestANodeThatIsLaterThanADemoWaitsIsNotCompared(t *testing.T) {
	t.Parallel()
	file := fileOf(t, "topology: {sync: first 1 (b)}\nnodes: {a: leader, b: standby, c: {role: delayed, apply_delay: 1h}}\n")
	_, err := newDemo(Options{Layout: found(t, file), Scenario: ScenarioPayments})
	require.ErrorIs(t, err, ErrInput)
	d, out := playing(t, Options{Layout: found(t, file)})
	require.NoError(t, d.run(t.Context()), "%s", out)
	require.Contains(t, out.String(), "2 nodes have applied all")
	require.Equal(t, time.Duration(0), d.slowest())
}
