package shell

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// losses are what befalls disks beyond a crash: a directory that is gone, a bit
// that flips. It befalls one node at a time, where the policy keeps what it
// acknowledges without that node's disk; and only once its new directory is
// counted, as operators are told to wait for, the next.
type losses struct {
	w   *world
	rng *rand.Rand // of the director alone

	mu    sync.Mutex      // a leaf
	node  topology.NodeID // whom it befell last and is not over for; empty for nobody
	since time.Time
	wiped bool // it has an empty directory, or had; else a bit of it flipped

	restarted bool // by the operator, as the node said that it is damaged
}

// begin reports whether a node may lose something now, and takes note that it does.
func (l *losses) begin(id topology.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.node != "" {
		return false
	}
	l.node, l.since, l.wiped, l.restarted = id, time.Now(), false, false
	return true
}

func (l *losses) end(what string) {
	l.w.reach(what)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.node = ""
}

// explain reports whether an error of a node is due to the bit that flipped on its
// disk. It then must say that something is damaged.
func (l *losses) explain(id topology.NodeID, err error) bool {
	l.mu.Lock()
	rots := l.node == id && !l.wiped
	l.mu.Unlock()
	if !rots {
		return false
	}
	for _, damage := range []error{topology.ErrQuarantined, topology.ErrMalformed, topology.ErrUnsupported, home.ErrCorrupt, home.ErrLost} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
}

// lose changes the disk of a machine that is down.
func (m *machine) lose(what Kind, rng *rand.Rand) {
	switch what {
	case Wipe:
		m.w.logger.Info("wiped", "node", m.id)
		l := m.w.losses
		l.mu.Lock()
		l.wiped = true
		l.mu.Unlock()
		m.insert(crashfs.New())
	case RotRest:
		m.rot(rng, false)
	}
}

// rot flips a bit of the log, of the store or of a document; under a node that runs
// of what a scrub reads, as the rest is looked at when the node is started. The frames of the
// newest segment of a log are spared: what no later frame promises to be durable
// looks like a torn tail, by the log's own contract (PW3).
func (m *machine) rot(rng *rand.Rand, live bool) {
	m.mu.Lock()
	disk := m.disk
	m.mu.Unlock()
	places := map[string][]string{}
	for _, f := range files(disk, "data") {
		if kind := ground(f); kind != "" && (!live || scrubbed(f)) {
			places[kind] = append(places[kind], f)
		}
	}
	for _, kind := range []string{".seg", ".sst", ""}[rng.IntN(3):] {
		if kind == "" {
			kind = "other"
		}
		if len(places[kind]) == 0 {
			continue
		}
		f := places[kind][rng.IntN(len(places[kind]))]
		stat, err := disk.Stat(f)
		if err != nil || stat.Size() == 0 {
			continue
		}
		to := stat.Size()
		if kind == ".seg" && newest(places[kind], f) {
			to = min(to, segmentHeader)
		}
		at, bit := rng.Int64N(to), uint8(rng.IntN(8))
		m.w.logger.Info("rots", "node", m.id, "file", f, "at", at, "bit", bit, "done", disk.Flip(f, at, bit))
		return
	}
}

// segmentHeader is where the frames of a segment begin.
const segmentHeader = 4 << 10

// ground is the kind of file that a bit may flip in; empty for those that nobody
// reads, or that carry no sum because nothing rests on them.
func ground(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case strings.HasSuffix(name, ".seg"), strings.HasSuffix(name, ".sst"):
		return name[len(name)-4:]
	case name == "LOCK", strings.HasPrefix(name, "OPTIONS-"), strings.HasPrefix(name, "marker."), strings.Contains(path, "/aside/"):
		return ""
	}
	return "other"
}

// scrubbed reports whether a scrub looks at a file.
func scrubbed(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return ground(path) == ".sst" || strings.HasPrefix(path, "data/log/") && (ground(path) == ".seg" || name == "manifest") || name == "current"
}

// newest reports whether no segment of its log is newer than f.
func newest(segments []string, f string) bool {
	dir := f[:strings.LastIndexByte(f, '/')+1]
	return !slices.ContainsFunc(segments, func(o string) bool { return strings.HasPrefix(o, dir) && o > f })
}

// files are the paths of all files below dir, in order.
func files(disk *crashfs.FS, dir string) (out []string) {
	names, err := disk.List(dir)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	for _, name := range names {
		path := disk.PathJoin(dir, name)
		if st, err := disk.Stat(path); err == nil && st.IsDir() {
			out = append(out, files(disk, path)...)
		} else if err == nil {
			out = append(out, path)
		}
	}
	return out
}

// look sees whether a loss is over, as an operator does, and reports whether none
// is left.
func (l *losses) look(ctx context.Context) bool {
	l.mu.Lock()
	id, since, wiped := l.node, l.since, l.wiped
	l.mu.Unlock()
	if id == "" {
		return true
	}
	p := l.w.machines[id].process()
	switch {
	case p == nil || p.env.Load() == nil:
	case wiped && l.counted(ctx, p):
		l.end(reachedCounted)
	case wiped:
	default:
		s := p.Status().Scrub // a node that was started since has looked at its log then
		switch {
		case !s.Ended.Add(-s.Took).After(since):
		case len(s.Damage) == 0:
			l.end(reachedMended)
		case time.Since(since) > damageWait:
			l.restart(ctx, id)
		}
	}
	return false
}

// damageWait is how long the operator leaves a node that says that its log is damaged:
// in the segment that is being written that waits until it is full, which without load
// it never is. Started again the node is refused, and gets an empty directory.
const damageWait = time.Minute

// restart restarts a node, once a loss.
func (l *losses) restart(ctx context.Context, id topology.NodeID) {
	l.mu.Lock()
	was := l.restarted
	l.restarted = true
	l.mu.Unlock()
	if was {
		return
	}
	select {
	case l.w.machines[id].orders <- order{down: restartAfter}:
	case <-ctx.Done():
	}
}

// waits reports whether what is left is a new directory, caught up, that commits do
// not wait for: under first k it is the next term that counts it.
func (l *losses) waits() bool {
	l.mu.Lock()
	id, wiped := l.node, l.wiped
	l.mu.Unlock()
	if !wiped || id == "" {
		return false
	}
	p, lead := l.w.machines[id].process(), l.w.machines[l.w.operator.leader()].process()
	if p == nil || lead == nil {
		return false
	}
	s := lead.Status()
	i := slices.IndexFunc(s.Peers, func(m topology.PeerStatus) bool { return m.Node == id })
	return s.Role == topology.RoleLeader && i >= 0 && !s.Peers[i].Sync && p.Status().Term == s.Term && p.Status().Flushed >= s.Commit
}

// counted reports whether the leader counts the directory that p has, and none
// before it, and a write has been committed since.
func (l *losses) counted(ctx context.Context, p *process) bool {
	lead := l.w.machines[l.w.operator.leader()].process()
	if lead == nil || lead.env.Load() == nil || lead.Status().Role != topology.RoleLeader || p.Status().Term != lead.Status().Term {
		return false
	}
	if r, ok := p.env.Load().Control.(topology.ControlReporter); ok && slices.Contains(r.Report().Voters, p.m.id) && !r.Report().Votes {
		return false
	}
	g, err := standing(lead.env.Load())
	if err != nil || g.Leader != lead.m.id {
		return false
	}
	self := core.Counted{Node: p.m.id, Life: p.env.Load().Life}
	if a := g.Agreed; a != nil {
		if len(a.InSync) < a.Minimum || slices.ContainsFunc(a.InSync, func(c core.Counted) bool { return c.Node == self.Node && c != self }) {
			return false
		}
	} else if i := slices.Index(g.Voters, self.Node); i < 0 || i >= len(g.Lives) || g.Lives[i] != self.Life {
		return false
	}
	before := lead.Status()
	written := l.w.operator.write(ctx, probeKey)
	after := lead.Status()
	return written && after.Role == topology.RoleLeader && after.Term == before.Term && p.Status().Flushed >= before.Commit
}

// standing is the newest document of the group that a node knows.
func standing(env *topology.Env) (core.Group, error) {
	d, _ := env.Control.Latest(topology.DocumentGroup)
	if d.Version == 0 {
		return core.Group{}, topology.ErrUnavailable
	}
	g, err := core.DecodeGroup(d.Body)
	if err != nil || g.Agreed != nil {
		return g, err
	}
	body, err := env.Stable.Load("accepted")
	if err != nil {
		return g, err
	}
	accepted, err := core.DecodeAccepted(body)
	return core.Standing(g, accepted), err
}

// lending notes what the node lends its engine.
func (p *process) lending(build topology.Builder) topology.Builder {
	return func(env topology.Env) (topology.Engine, error) {
		p.env.Store(&env)
		return build(env)
	}
}
