package scenario

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config/strict"
)

func TestReadyScenariosAreRead(t *testing.T) {
	require.Contains(t, Names(), "quick")
	require.Contains(t, Names(), "wan-partition")
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s, text, err := Ready(name)
			require.NoError(t, err)
			require.NotEmpty(t, text)
			require.NotEmpty(t, s.About)
			names := map[string]bool{}
			for _, v := range s.Variants() {
				require.False(t, names[v.Name], "two subjects are called %q", v.Name)
				names[v.Name] = true
				require.NotEmpty(t, v.Promise())
			}
		})
	}
	_, _, err := Ready("nonesuch")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestListsMakeOneSubjectOfEachCombination(t *testing.T) {
	s, err := Read("s.yaml", []byte(`
subjects:
  one:
    topology: single-leader
    sync: [async, "first 1 (b-1, c-1)"]
    read: [any, linearizable]
  sites: {topology: multi-leader}
workloads:
  w: {kind: ycsb-a}
`))
	require.NoError(t, err)
	var names []string
	for _, v := range s.Variants() {
		names = append(names, v.Name)
	}
	require.Equal(t, []string{"one async any", "one async linearizable", "one first 1 (b-1, c-1) any", "one first 1 (b-1, c-1) linearizable", "sites"}, names)
	require.Equal(t, []string{"a", "b", "c"}, s.Sites)
	require.Equal(t, []string{"b-1"}, s.NodesOf("b"))
}

const processes = "subjects: {one: {topology: single-leader, via: [calls, resp]}}\n"

const good = `subjects: {one: {topology: single-leader}}
workloads: {w: {kind: ycsb-a}}
`

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		good + "repeat: 3\n":                                                  `s.yaml:3:1: unknown key "repeat"; did you mean repeats?`,
		good + "repeats: 0\n":                                                 "s.yaml:3:10: repeats: 0: from 1 to 100",
		good + "time: 5\n":                                                    "5 has no unit",
		good + "sites: [a, a]\n":                                              "a stands twice",
		good + "sites: [leader]\n":                                            "it means whoever leads",
		good + "links: {a/d: 5ms}\n":                                          `"a/d" names no two of the sites [a b c]`,
		good + "links: {a/b: 5ms, b/a: 5ms}\n":                                "is the same link",
		good + "links: {a/b: {delay: 5ms, loss: 5}}\n":                        "a percentage below 100",
		good + "faults: {f: {do: kil, who: [a], for: 1s}}\n":                  `"kil" is none of kill, pause`,
		good + "faults: {f: {do: kill, who: [d], for: 1s}}\n":                 `"d" is none of the sites`,
		good + "faults: {f: {do: kill, who: [a], for: 3s}}\n":                 "it ends 3s after measuring began",
		good + "faults: {f: {do: kill, who: [a]}}\n":                          "for is missing",
		good + "faults: {f: {who: [a], for: 1s}}\n":                           "do is missing",
		good + "faults: {f: {do: kill, for: 1s}}\n":                           "who is missing",
		good + "shows: {two: [stale-reads]}\n":                                `"two" is not among the subjects`,
		good + "shows: {one: [stale-read]}\n":                                 "did you mean stale-reads?",
		"workloads: {w: {kind: ycsb-a}}\n":                                    "there is none; name at least one topology",
		"subjects: {one: {topology: single-leader}}\n":                        "there is none; name at least one kind of work",
		"subjects: {one: {sync: [async]}}\nworkloads: {w: {kind: counter}}\n": "it has no topology",
		"subjects: {one: {topology: single-leader, conflicts: [crdt]}}\nworkloads: {w: {kind: counter}}\n":                                   "conflicts means nothing where the topology is single-leader",
		"subjects: {one: {topology: leaderless, w: [4]}}\nworkloads: {w: {kind: counter}}\n":                                                 "4 of 3 copies can not answer",
		"subjects: {one: {topology: leaderless, read: [linearizable]}}\nworkloads: {w: {kind: counter}}\n":                                   "leaderless has no linearizable reads",
		"subjects: {one: {topology: single-leader}}\nworkloads: {w: {kind: counter, keys: 1000000}}\n":                                       "from 2 to 10000",
		"subjects: {one: {topology: single-leader}}\nworkloads: {w: {kind: counter, tables: 2}}\n":                                           "counter has one table",
		processes + "workloads: {w: {kind: ycsb-e}}\n":                                                                                       "ycsb-e has operations that RESP has not",
		processes + "workloads: {w: {kind: bank}}\n":                                                                                         "bank has operations that RESP has not",
		processes + "workloads: {w: {kind: ycsb-a}}\nfaults: {f: {do: slow-disk, who: [a], for: 1s}}\n":                                      "slow-disk can not be done to processes, and subject one is of some",
		"subjects: {s: {topology: multi-leader, conflicts: [siblings], via: [resp]}}\nworkloads: {w: {kind: counter}}\n":                     "does not bring siblings together over RESP",
		good + "faults: {f: {do: join, who: [leader], for: 1s}}\n":                                                                           "who leads does not join",
		good + "faults: {f: {do: leave, who: [a-1], for: 1s}}\n":                                                                             "a-1 is where everybody begins",
		"subjects: {q: {topology: leaderless}}\nworkloads: {w: {kind: counter}}\nfaults: {f: {do: join, who: [c], for: 1s}}\n":               "neither join nor leave yet",
		"nodes: 2\nsubjects: {s: {topology: multi-leader}}\nworkloads: {w: {kind: counter}}\nfaults: {f: {do: join, who: [c-2], for: 1s}}\n": "of which whole ones join and leave",
		"links: {a/b: 1ms}\n" + processes + "workloads: {w: {kind: counter}}\nfaults: {f: {do: join, who: [c], for: 1s}}\n":                  "has one address for all others",
		"subjects: {one: {topology: single-leader}}\nworkloads: {w: {keys: 5}}\n":                                                            "it has no kind",
		"subjects: {one: {topology: single-leader}}\nworkloads: {w: {kind: ycsb-a, reads: 101}}\n":                                           "a part of a hundred",
		"subjects: {one: {topology: single-leader}}\nworkloads: {w: {kind: ycsb-a, distribution: zipf}}\n":                                   "zipfian",
	} {
		_, err := Read("s.yaml", []byte(text))
		var refused *strict.Refused
		require.ErrorAs(t, err, &refused, text)
		require.Contains(t, refused.Report(), want, text)
		if !strings.Contains(want, "there is none") { // what is nowhere has no line
			require.Contains(t, refused.Report(), "^", text)
		}
	}
}

func TestOneSubjectIsAskedInSeveralWays(t *testing.T) {
	s, err := Read("s.yaml", []byte("subjects: {one: {topology: single-leader, via: [calls, client, resp]}}\nworkloads: {w: {kind: ycsb-a}}\nfaults: {f: {do: join, who: [b], for: 1s}}\n"))
	require.NoError(t, err)
	var names []string
	for _, v := range s.Variants() {
		names = append(names, v.Name)
	}
	require.Equal(t, []string{"one calls", "one client", "one resp"}, names)
	require.Equal(t, []bool{false, true, true}, []bool{s.Variants()[0].Via.Processes(), s.Variants()[1].Via.Processes(), s.Variants()[2].Via.Processes()})
	require.True(t, s.Absent("b-1"))
	require.False(t, s.Absent("a-1"))
}

func TestAPromiseForbidsWhatItSays(t *testing.T) {
	s, err := Read("s.yaml", []byte(`
subjects:
  async: {topology: single-leader, sync: [async]}
  any: {topology: single-leader}
  early: {topology: single-leader, durability: [received]}
  lww: {topology: multi-leader}
  crdt: {topology: multi-leader, conflicts: [crdt]}
  siblings: {topology: multi-leader, conflicts: [siblings]}
  quorum: {topology: leaderless, conflicts: [crdt]}
workloads: {w: {kind: counter}}
`))
	require.NoError(t, err)
	v := map[string]Variant{}
	for _, x := range s.Variants() {
		v[x.Name] = x
	}
	require.True(t, v["any"].Forbids(StaleReads, LevelLinearizable))
	require.False(t, v["any"].Forbids(StaleReads, LevelSession))
	require.True(t, v["any"].Forbids(OwnWrites, LevelSession))
	require.False(t, v["any"].Forbids(OwnWrites, LevelAny))
	require.True(t, v["any"].Forbids(LostWrites, ""))
	require.False(t, v["async"].Forbids(LostWrites, ""))
	require.False(t, v["lww"].Forbids(LostUpdates, ""))
	require.True(t, v["crdt"].Forbids(LostUpdates, ""))
	require.True(t, v["quorum"].Forbids(LostUpdates, ""))
	require.False(t, v["siblings"].Forbids(LostUpdates, ""), "what a client makes of siblings is its own")
	require.Contains(t, v["siblings"].Promise(), "both kept until a client has seen both")
	require.Contains(t, v["quorum"].Promise(), "merged")
	require.True(t, v["lww"].Forbids(OwnWrites, LevelSession))
	require.False(t, v["lww"].Forbids(StaleReads, LevelLinearizable))
	require.True(t, v["lww"].Forbids(NeverTheSame, ""))
	require.False(t, v["early"].Forbids(StaleReads, LevelLinearizable), "acknowledged before it is committed")
	require.False(t, v["early"].Forbids(LostWrites, ""))
	require.Equal(t, []int{1, 2, 0, 1}, []int{v["async"].Durable(3), v["any"].Durable(3), v["early"].Durable(3), v["lww"].Durable(1)})
	require.True(t, v["early"].Forbids(OwnWrites, LevelSession), "a token waits")
}
