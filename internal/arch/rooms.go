package arch

import (
	"slices"
	"strings"
)

// room is one row of the import table: who lives at a place, and whom it may
// import beyond the standard library, its own room and record/pack, which
// everybody may import.
type room struct {
	at    string   // a folder, or "folder/..." for it and all below
	own   []string // rooms of ours, as in at; "*" is all that may be imported
	third []home   // modules or packages of others; "*" is any
	never []string // parts of the standard library that stay out
}

// home is a third-party import in the room that may have it.
type home struct {
	path string // and all below it
	file string // only in files of this name; empty for all
}

const (
	pebble = "github.com/cockroachdb/pebble/v2"
	vfs    = pebble + "/vfs"
)

var (
	msgpack  = home{path: "github.com/vmihailenco/msgpack/v5"}
	wire     = home{path: msgpack.path, file: "wire.go"}
	testify  = home{path: "github.com/stretchr/testify"}
	rapid    = home{path: "pgregory.net/rapid"}
	errgroup = home{path: "golang.org/x/sync"} // whoever starts goroutines waits for them
	anything = []home{{path: "*"}}

	// outside is what a pure room does not touch.
	outside = []string{"os", "net", "syscall", "os/exec", "os/signal", "net/http"}

	vocabulary = []string{"version", "record", "quorum", "crdt", "conflict"}
)

// system is what adapters, engines and commands may import besides their own.
func system(more ...home) []home {
	return append([]home{errgroup, {path: "golang.org/x/sys"}}, more...)
}

// rooms is the picture of the house. Arrows point down: engines know contracts
// and never adapters, adapters know contracts and never each other.
var rooms = []room{
	// The vocabulary: the standard library and vocabulary, no I/O.
	{at: "version", never: outside},
	{at: "quorum", never: outside},
	{at: "quorum/pbs", own: []string{"quorum"}, never: outside},
	{at: "record", own: []string{"version"}, third: []home{msgpack}, never: outside},
	{at: "record/pack", third: []home{msgpack}, never: outside},
	{at: "crdt/crdttest", own: []string{"version", "crdt"}, third: []home{testify, rapid}},
	{at: "conflict/conflicttest", own: []string{"version", "record", "conflict"}, third: []home{testify}},
	{at: "crdt", own: []string{"version"}, third: []home{msgpack}, never: outside},
	{at: "conflict", own: []string{"version", "record", "crdt"}, third: []home{msgpack}, never: append(outside, "math/rand", "math/rand/v2")},

	// The contracts.
	{at: "topology", own: []string{"version", "record"}, never: outside},
	{at: "topology/topologytest", own: []string{"version", "record", "topology"}, third: []home{testify}},

	// The mechanisms and the engines.
	{at: "internal/kind", own: []string{"version", "record", "crdt", "topology"}, never: outside},
	{at: "internal/stream", own: []string{"version", "record", "topology"}, third: []home{errgroup}},
	{at: "singleleader/...", own: []string{"version", "record", "quorum", "topology", "internal/stream"}, third: system(wire)},
	{at: "multileader/...", own: []string{"internal/kind", "version", "record", "quorum", "topology", "internal/stream", "conflict/...", "crdt/...", "singleleader/..."}, third: system(wire)},
	{at: "leaderless/...", own: []string{"internal/kind", "version", "record", "quorum", "topology", "internal/stream", "conflict/...", "crdt/..."}, third: system(wire)},

	// The adapters: none imports another.
	{at: "internal/wal", own: []string{"version", "record", "topology"}, third: system(home{path: vfs})},
	{at: "internal/store", own: []string{"version", "record", "topology"}, third: system(home{path: pebble}, home{path: "github.com/tidwall/btree"})},
	{at: "internal/transport", own: []string{"version", "record", "topology"}, third: system(msgpack, home{path: "github.com/klauspost/compress"})},
	{at: "internal/secure", own: []string{"topology"}, third: system()},
	{at: "internal/gossip", own: []string{"version", "record", "topology"}, third: system(home{path: "github.com/hashicorp/serf"}, home{path: "github.com/hashicorp/memberlist"})},
	{at: "internal/home", own: []string{"record", "topology"}, third: system(home{path: vfs})},
	{at: "internal/link"},
	{at: "internal/progress", third: system(home{path: "github.com/vbauerster/mpb"})},
	{at: "internal/plug", third: system(home{path: vfs})},
	{at: "internal/hooks", own: []string{"topology"}, third: system()},
	{at: "internal/members", own: []string{"topology"}, third: system()},
	{at: "control/static", own: []string{"version", "record", "topology"}, third: system()},
	{at: "control/raft", own: []string{"version", "record", "topology"}, third: system(home{path: "github.com/hashicorp/raft"})},
	{at: "control/etcd", own: []string{"version", "record", "topology"}, third: system(home{path: "go.etcd.io/etcd"}, home{path: "google.golang.org/grpc"}, home{path: "go.uber.org/zap"})},

	{at: "control/etcd/internal/etcdtest", third: anything},
	{at: "control/etcd/cmd/triad-etcd", own: []string{"topology", "control/etcd", "internal/config", "internal/cli"}},

	// The front door and the remote client. The root names no engine.
	{at: "internal/call", own: []string{"version", "record", "topology"}},
	{at: "internal/typed", own: []string{"record", "topology", "internal/kind"}, third: []home{msgpack}},
	{at: ".", own: append([]string{"topology", "internal/call", "internal/kind", "internal/typed", "internal/wal", "internal/store", "internal/transport", "internal/secure", "internal/home", "internal/members", "internal/gossip", "control/static"}, vocabulary...), third: []home{msgpack, errgroup}},
	{at: "client", own: append([]string{"topology", "internal/call", "internal/typed", "internal/transport", "internal/secure"}, vocabulary...), third: []home{msgpack, errgroup}},

	// What stands around the house.
	{at: "internal/admin", own: []string{"record", "topology"}, third: system(home{path: "github.com/prometheus/client_golang/prometheus"})},
	{at: "internal/config", own: []string{".", "record", "quorum", "conflict", "topology", "singleleader", "multileader", "leaderless/...", "control/raft", "internal/stream", "internal/members", "internal/hooks", "internal/config/strict"}},
	{at: "internal/config/strict", third: []home{{path: "github.com/goccy/go-yaml"}}},
	{at: "internal/sim/...", own: []string{"*"}, third: system(home{path: "github.com/anishathalye/porcupine"}, home{path: pebble})},
	{at: "internal/server/...", own: []string{"*"}, third: anything},
	{at: "internal/demo/...", own: []string{"*"}, third: anything},
	{at: "internal/bench/...", own: []string{"*"}, third: anything},
	{at: "internal/nemesis/...", own: []string{"*"}, third: system(testify)},
	{at: "internal/arch"},
	{at: "internal/cli", own: []string{"*"}, third: anything},
	{at: "cmd/...", own: []string{"*"}, third: anything},
	{at: "benchmarks/...", own: []string{"*"}, third: anything},
	{at: "examples/...", own: []string{"*"}, third: anything},
}

// ends are rooms that nobody imports but themselves.
var ends = []string{"cmd/...", "benchmarks/...", "examples/...", "internal/nemesis/...", "internal/arch"}

// fronts are rooms that only products import, though "*" would open them to
// the simulator too.
var (
	fronts   = []string{"internal/server/...", "internal/demo/...", "internal/bench/...", "internal/cli"}
	products = []string{"cmd/...", "control/etcd/cmd/...", "internal/cli", "internal/bench/...", "benchmarks/...", "examples/...", "internal/nemesis/..."}
)

// texts are folders of examples that are no program but files compiled in: who may
// import everything may import them, though they lie among the ends.
var texts = []string{"examples/clusters", "benchmarks/scenarios"}

// covers reports whether a place of the table is, or holds, the folder dir.
func covers(at, dir string) bool {
	if base, ok := strings.CutSuffix(at, "/..."); ok {
		return dir == base || strings.HasPrefix(dir, base+"/")
	}
	return at == dir
}

func anyCovers(ats []string, dir string) bool {
	return slices.ContainsFunc(ats, func(at string) bool { return covers(at, dir) })
}

// roomOf returns the row for a folder.
func roomOf(dir string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return covers(r.at, dir) })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// admits reports whether code in r may import our package dir.
func (r room) admits(dir string) bool {
	switch {
	case covers(r.at, dir), dir == "record/pack":
		return true
	case slices.Contains(texts, dir):
		return slices.Contains(r.own, "*")
	case anyCovers(ends, dir):
		return false
	case slices.Contains(r.own, "*"):
		return !anyCovers(fronts, dir) || slices.Contains(products, r.at)
	}
	return anyCovers(r.own, dir)
}

// admitsThird reports whether a file of r may import a package of others.
func (r room) admitsThird(path, file string) bool {
	return slices.ContainsFunc(r.third, func(h home) bool {
		return (h.path == "*" || within(path, h.path)) && (h.file == "" || h.file == file)
	})
}

// within reports whether an import path is root or lies below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
