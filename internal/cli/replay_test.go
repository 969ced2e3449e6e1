package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// aside makes a data directory with a side file of these records, one an hour, the last
// an hour after at, and returns the directory.
func aside(t *testing.T, at time.Time, all ...[]record.Mutation) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old")
	h, err := home.Open(home.Options{FS: vfs.Default, Dir: dir, Cluster: "triad", Node: "b"})
	require.NoError(t, err)
	_, err = h.Sidelog().Keep("a test", func(yield func(record.Entry, error) bool) {
		for i, ms := range all {
			r := record.Record{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: uint64(i + 7)}, Time: version.TimestampAt(at.Add(time.Duration(i-len(all)+2) * time.Hour)), Term: 1, Mutations: ms}
			b := record.NewEncoder().Append(nil, &r)
			if !yield(record.Entry{LSN: record.LSN(i + 7), Term: 1, Sum: record.Sum(b), Bytes: b}, nil) {
				return
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, h.Close())
	return dir
}

func puts(key, value string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Op: record.OpPut, Kind: record.KindBytes, Key: []byte(key), Value: []byte(value)}
}

func removes(key string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Op: record.OpDelete, Key: []byte(key)}
}

const sideFile = "00000001.entries"

func TestRewoundRecordsAreWrittenAgainOnce(t *testing.T) {
	serve(t)
	succeed(t, "put", "default", "old", "was there")
	succeed(t, "put", "default", "gone", "was there")
	dir := aside(t, time.Now(),
		[]record.Mutation{puts("k", "1"), puts("l", "1")},
		[]record.Mutation{puts("k", "2")},
		[]record.Mutation{puts("old", "again"), removes("gone")})
	dry := succeed(t, "rewound", "replay", dir, sideFile)
	require.Contains(t, dry, "3 would write; nothing was written: --yes writes")
	require.Contains(t, failing(t, exitFailed, "get", "default", "k"), "not found")

	require.Contains(t, succeed(t, "rewound", "replay", dir, sideFile, "--yes"), "3 written")
	require.Regexp(t, `(?m)^`+"k"+` +`+"2"+` `, succeed(t, "get", "default", "k"), "in the order of the file")
	require.Regexp(t, `(?m)^`+"old"+` +`+"again"+` `, succeed(t, "get", "default", "old"))
	require.Contains(t, failing(t, exitFailed, "get", "default", "gone"), "not found")

	again := succeed(t, "rewound", "replay", dir, sideFile, "--yes", "-o", "json")
	require.NotContains(t, again, `"outcome": "written"`, "a second time changes nothing")
	require.Regexp(t, `(?m)^`+"k"+` +`+"2"+` `, succeed(t, "get", "default", "k"))
}

func TestANewerValueIsNotOverwrittenUnlessAsked(t *testing.T) {
	serve(t)
	dir := aside(t, time.Now().Add(-24*time.Hour), []record.Mutation{puts("k", "lost"), puts("l", "lost")}, []record.Mutation{puts("free", "lost")})
	succeed(t, "put", "default", "k", "newer")
	out := succeed(t, "rewound", "replay", dir, sideFile, "--yes")
	require.Contains(t, out, "1 written, 1 left out")
	require.Contains(t, out, "default/k holds a value of ")
	require.Regexp(t, `(?m)^`+"k"+` +`+"newer"+` `, succeed(t, "get", "default", "k"))
	require.Contains(t, failing(t, exitFailed, "get", "default", "l"), "not found", "a record is written whole or not at all")
	require.Regexp(t, `(?m)^`+"free"+` +`+"lost"+` `, succeed(t, "get", "default", "free"))

	require.Contains(t, succeed(t, "rewound", "replay", dir, sideFile, "--yes", "--overwrite"), "1 written, 1 there already")
	require.Regexp(t, `(?m)^`+"k"+` +`+"lost"+` `, succeed(t, "get", "default", "k"))
}

func TestWhatCanNotBeReplayedIsLeftOutWithAReason(t *testing.T) {
	serve(t)
	row := record.Mutation{Table: record.TableFirst, Op: record.OpPut, Kind: record.KindRow, Key: []byte("k"), Field: []byte("f"), Value: []byte("\xa1v")}
	file := record.Mutation{Table: record.TableFirst + 1, Op: record.OpPut, Kind: record.KindBytes, Key: []byte("k"), Value: []byte("v")}
	system := record.Mutation{Table: record.TableSystem, Op: record.OpPut, Kind: record.KindBytes, Key: []byte("k"), Value: []byte("v")}
	late, soon := puts("late", "v"), puts("soon", "v")
	late.Expires, soon.Expires = version.TimestampAt(time.Now().Add(-time.Hour)), version.TimestampAt(time.Now().Add(time.Hour))
	dir := aside(t, time.Now(), []record.Mutation{row}, []record.Mutation{file}, []record.Mutation{system}, []record.Mutation{late}, []record.Mutation{soon, puts("k", "v")}, []record.Mutation{soon})
	out := succeed(t, "rewound", "replay", dir, sideFile, "--yes", "--table", "16=users")
	for _, why := range []string{"it has parts of a row", "table 17 has no name here: give it with --table 17=NAME", "it defines tables or slots", "it has expired", "it has several keys, of which some expire", "1 written, 5 left out"} {
		require.Contains(t, out, why)
	}
	require.Regexp(t, `(?m)^`+"soon"+` +`+"v"+` `, succeed(t, "get", "default", "soon"))
	require.Contains(t, succeed(t, "rewound", "replay", dir, sideFile, "--yes", "--table", "16=users,17=files"), "1 written, 1 there already")
	require.Regexp(t, `(?m)^`+"k"+` +`+"v"+` `, succeed(t, "get", "files", "k"))
}

func TestAReplayOfNonsenseIsRefused(t *testing.T) {
	serve(t)
	dir := aside(t, time.Now(), []record.Mutation{puts("k", "1")})
	for _, bad := range []string{"users", "1=default", "x=users", "16=", "-1=a", "99999999999=a"} {
		require.Contains(t, failing(t, exitUsage, "rewound", "replay", dir, sideFile, "--table="+bad), "NUMBER=NAME", bad)
	}
	require.Contains(t, failing(t, exitUsage, "rewound", "replay", dir, "00000009.entries"), "has no side file")
	require.Contains(t, failing(t, exitUsage, "rewound", "replay", dir), "FILE")
	failing(t, exitUsage, "rewound", "replay", t.TempDir(), sideFile)
	var damaged string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == sideFile {
			damaged = path
		}
		return err
	}))
	b, err := os.ReadFile(damaged)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(damaged, b, 0o600))
	failing(t, exitCheck, "rewound", "replay", dir, sideFile, "--yes")
	require.Contains(t, failing(t, exitFailed, "get", "default", "k"), "not found", "nothing of a damaged file is written")
}

// doubtful answers writes with errors, one after another, and then does them.
type doubtful struct {
	errs  []error
	wrote int
}

func (d *doubtful) Get(context.Context, string, []byte, ...client.Option) (client.Reading, error) {
	return client.Reading{}, topology.ErrNotFound
}

func (d *doubtful) Put(context.Context, string, []byte, []byte, ...client.Option) (client.Receipt, error) {
	return client.Receipt{}, nil
}

func (d *doubtful) Delete(context.Context, string, []byte, ...client.Option) (client.Receipt, error) {
	return client.Receipt{}, nil
}

func (d *doubtful) Batch(context.Context, *client.Batch, ...client.Option) (client.Receipt, error) {
	if len(d.errs) > 0 {
		err := d.errs[0]
		d.errs = d.errs[1:]
		return client.Receipt{}, err
	}
	d.wrote++
	return client.Receipt{}, nil
}

func TestAReplayStopsWhereItDoesNotKnowAndJudgesAgainWhatChanged(t *testing.T) {
	dir := aside(t, time.Now(), []record.Mutation{puts("k", "1")}, []record.Mutation{puts("l", "1")})
	changed := &topology.Error{Outcome: topology.NotApplied, Err: topology.ErrConditionFailed}
	unknown := &topology.Error{Outcome: topology.Unknown, Err: topology.ErrTimeout}
	run := func(errs ...error) (*doubtful, *replay, error) {
		d := &doubtful{errs: errs}
		p := &replay{store: d, apply: true, tables: map[record.TableID]string{record.TableDefault: "default"}, ours: map[place]version.Dot{}, name: 1}
		return d, p, p.all(t.Context(), rewoundRecords(dir, sideFile))
	}
	d, _, err := run(changed, changed)
	require.NoError(t, err)
	require.Equal(t, 2, d.wrote)
	d, p, err := run(unknown)
	require.ErrorContains(t, err, "record 7: outcome unknown; those after it were not tried")
	require.Zero(t, d.wrote)
	require.Equal(t, "outcome unknown", p.report[0].Outcome)
	_, p, err = run(changed, changed, changed, changed, changed)
	require.NoError(t, err)
	require.Equal(t, replayLeft, p.report[0].Outcome)
	require.Equal(t, replayWritten, p.report[1].Outcome)
}
