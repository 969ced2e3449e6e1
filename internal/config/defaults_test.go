package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/singleleader"
)

// key is the name that a field has in a file.
func key(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// defaults are the defaults of the keys below a path.
func defaults(under string) map[string]string {
	d := map[string]string{}
	for _, k := range strict.Keys(Node{}) {
		if name, ok := strings.CutPrefix(k.Path, under+"."); ok {
			d[name] = k.Default
		}
	}
	return d
}

// documented reads, of each field of a struct, the default that its comment
// states.
func documented(t *testing.T, file, name, pattern string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	require.NoError(t, err)
	says := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.TypeSpec)
		if !ok || s.Name.Name != name {
			return true
		}
		for _, field := range s.Type.(*ast.StructType).Fields.List {
			text := strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
			if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
				says[key(field.Names[0].Name)] = m[1]
			}
		}
		return false
	})
	require.NotEmpty(t, says, "%s of %s", name, file)
	return says
}

func TestDefaultsAreThoseThatTheOptionsDocument(t *testing.T) {
	for _, tc := range []struct{ file, name, pattern, under string }{
		{"../../config.go", "Limits", `: ([0-9]+ ?[A-Za-zµ]+)`, "limits"},
		{"../../singleleader/options.go", "Options", `Default ([0-9]+ ?[A-Za-zµ]+)`, "topology"},
		{"../../singleleader/options.go", "Leases", `Default ([0-9]+ ?[A-Za-zµ]+)`, "topology"},
		{"../../multileader/options.go", "Options", `Default ([0-9]+ ?[A-Za-zµ]+)`, "topology"},
		{"../stream/sender.go", "Limits", `default ([0-9]+ ?[A-Za-zµ]+)`, "topology.stream"},
	} {
		ours := defaults(tc.under)
		for field, says := range documented(t, tc.file, tc.name, tc.pattern) {
			want := strings.NewReplacer("7 days", "168h", " ", "", "µ", "u", "min", "m").Replace(says)
			require.Equal(t, want, ours[field], "%s.%s", tc.under, field)
		}
	}
}

func TestEveryFieldOfTheOptionsHasAKey(t *testing.T) {
	elsewhere := map[string]string{"sync": "topology.sync", "apply_delay": "node.apply_delay", "upstreams": "node.upstream", "value_bytes_max": "limits.value_bytes_max", "stream": "topology.stream", "read_replicas": "members.<name>.role", "witnesses": "members.<name>.role", "on_role": "topology.hooks.promoted", "fence": "topology.hooks.fence"}
	ofSites := map[string]string{"sites": "topology.sites.<name>", "group": "topology", "limits": "no file says it", "resolvers": "tables.<name>.resolver", "filters": "tables.<name>.sites"}
	for typ, at := range map[reflect.Type]struct {
		under     string
		elsewhere map[string]string
	}{
		reflect.TypeFor[triad.Limits]():         {"limits", elsewhere},
		reflect.TypeFor[singleleader.Options](): {"topology", elsewhere},
		reflect.TypeFor[multileader.Options]():  {"topology", ofSites},
		reflect.TypeFor[stream.Limits]():        {"topology.stream", elsewhere},
	} {
		keys := defaults(at.under)
		for _, field := range reflect.VisibleFields(typ) {
			name := key(field.Name)
			if field.Anonymous || name == "lease_reads" {
				continue // its fields are visible too; topology.reads
			}
			if _, ok := keys[name]; !ok {
				require.Contains(t, at.elsewhere, name, "%v.%s has no key under %s", typ, name, at.under)
			}
		}
	}
}

func TestEveryValueOfAFileReachesTheOptions(t *testing.T) {
	n := readNode(t, `
node: {id: a, dir: data/a, site: us, apply_delay: 1s, role: voter, memory: true}
cluster: shop
listen: {peers: 127.0.0.1:7400}
control: {leader: b}
members: {a: 127.0.0.1:7400, b: {addr: 127.0.0.1:7401, site: eu}, c: {addr: 127.0.0.1:7402, role: read-replica}}
topology:
  sync: any 1 (a, b)
  durability: applied
  pending_bytes_max: 1MiB
  retain_bytes_max: 2MiB
  call_timeout: 4s
  retry_every: 5s
  fail_after: 300ms
  drop_after: 200ms
  hang_after: 900ms
  min_reign: 7s
  fail_fast: true
  stream: {batch_bytes_max: 6KiB, window_bytes_max: 7KiB, chunk_bytes_max: 8KiB, snapshot_bytes_max: 9KiB, heartbeat_every: 10ms, commit_delay: 11ms, snapshot_hold: 12s}
limits: {value_bytes_max: 1MiB, log_segment_bytes: 2MiB, log_first_segment_bytes: 64KiB, log_unflushed_bytes_max: 3MiB, log_tail_bytes: 4MiB,
  log_retain_bytes: 5MiB, store_cache_bytes: 6MiB, bootstrap_wait: 7s, start_wait: 8s, handover_wait: 3s, retain_every: 9s, scrub_every: 12s, scrub_bytes_per_sec: 13KiB,
  compress_above: 10KiB, conn_age_max: 11s}
tables: {users: row}
`)
	c, err := n.Open()
	require.NoError(t, err)
	for name, v := range map[string]reflect.Value{"Limits": reflect.ValueOf(c.Limits), "Options": reflect.ValueOf(n.Options()), "Stream": reflect.ValueOf(n.Options().Stream)} {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if slices.Contains([]string{"Hooks", "Witnesses", "MinInSync"}, field.Name) {
				continue // built with the engine; of elections
			}
			require.False(t, v.Field(i).IsZero(), "%s.%s", name, field.Name)
		}
	}
	require.Equal(t, triad.Config{
		ID: "a", Cluster: "shop", Site: "us", Dir: "data/a", Listen: "127.0.0.1:7400", Leader: "b", Memory: true, Limits: c.Limits,
		Members: []triad.Member{{ID: "a", Addr: "127.0.0.1:7400", Site: "us"}, {ID: "b", Addr: "127.0.0.1:7401", Site: "eu"}, {ID: "c", Addr: "127.0.0.1:7402"}},
		Tables:  c.Tables,
	}, withoutTopology(c))
	require.Equal(t, "users (row)", c.Tables[0].String())
}

func withoutTopology(c triad.Config) triad.Config {
	c.Topology = nil // a function
	return c
}

func readNode(t *testing.T, text string) *Node {
	t.Helper()
	n, err := ReadNode("node.yaml", []byte(text))
	require.NoError(t, err)
	return n
}
