package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

// Failover makes a node the leader, as a person would have it done: endpoints are
// the nodes that may be asked.
type Failover func(ctx context.Context, endpoints []string, to topology.NodeID, force bool) (topology.Promotion, error)

// Options say what is shown, and where. Out, Err and Failover are needed.
type Options struct {
	Layout   *Layout // of the cluster; default that of NameDefault
	Scenario string  // default ScenarioLoad if Load is set, else the one that belongs to the cluster
	Load     string  // a folder whose files are loaded
	Dir      string  // where the nodes' directories are made; default one that is removed at the end
	Cluster  string  // default that of the file; "triad" for a ready cluster, which other commands then find
	Once     bool    // end after the scenario; else the cluster stays up until the context ends
	Procs    bool    // every node is a process: Binary with the arguments of Spec.Args
	Verbose  bool    // what the nodes log goes to Err too

	Binary   string   // with Procs
	Command  string   // how a reader calls the command; default "triad"
	Failover Failover // what `failover --to` does
	RESP     RESP     // the doors for Redis clients; nil: there are none

	Out      io.Writer // the narrative
	Err      io.Writer // progress
	Color    bool      // Out understands colours
	Terminal bool      // Err is a terminal
}

func (o *Options) complete() error {
	if o.Layout == nil {
		l, err := Find("")
		if err != nil {
			return err
		}
		o.Layout = l
	}
	o.Cluster = o.Layout.ClusterName(o.Cluster)
	if o.Command == "" {
		o.Command = "triad"
	}
	if o.Scenario == "" {
		o.Scenario = o.Layout.scenario()
		if o.Load != "" {
			o.Scenario = ScenarioLoad
		}
	}
	if (o.Scenario == ScenarioLoad) != (o.Load != "") {
		return fmt.Errorf("%w: scenario %s and a folder to load go together", ErrInput, ScenarioLoad)
	}
	return nil
}

// clusterReady is the cluster name of a ready cluster: that which other commands
// look for.
const clusterReady = "triad"

// ClusterName is how the cluster of a layout is called, if nobody calls it name.
func (l *Layout) ClusterName(name string) string {
	switch {
	case name != "":
		return name
	case l.Ready:
		return clusterReady
	}
	return l.cluster.Cluster
}

// phaseTimeout bounds one phase of a tour.
const phaseTimeout = 15 * time.Second

// demo is one run.
type demo struct {
	teller
	group
	o       Options
	play    scenario
	dir     string
	remove  func() error // of dir, where it is the demo's own
	files   *tree        // to load; nil plays the tour
	checks  int          // that held
	started time.Time
}

// group is the cluster of a demo as its clients see it.
type group struct {
	c      *cluster
	all    *client.Client // of every node
	at     map[topology.NodeID]*client.Client
	leader *node            // as far as the demo knows
	leads  map[string]*node // likewise, by site, where every site has one
	latest client.Receipt   // of the newest write
}

// Run plays a demo. Its error is ErrInput if nothing was begun, ErrCheck if a
// check did not hold, and what ended ctx if that came first.
func Run(ctx context.Context, o Options) error {
	d, err := newDemo(o)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// newDemo checks the options and makes the directory. It starts nothing.
func newDemo(o Options) (*demo, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &demo{teller: teller{w: o.Out, color: o.Color}, o: o, group: group{at: map[topology.NodeID]*client.Client{}}, started: time.Now()}
	var err error
	if d.play, err = findScenario(o); err != nil {
		return nil, err
	}
	if o.Load != "" {
		if d.files, err = listTree(o.Load, filesMax); err != nil {
			return nil, err
		}
	}
	d.dir, d.remove, err = place(o.Dir)
	return d, err
}

// place returns the directory of a demo: a new one, which remove removes, or the
// one that was named, which must be empty.
func place(dir string) (at string, remove func() error, err error) {
	if dir == "" {
		at, err = os.MkdirTemp("", "triad-demo-")
		return at, func() error { return removeAll(at) }, err
	}
	keep := func() error { return nil }
	if at, err = filepath.Abs(dir); err != nil {
		return "", keep, fmt.Errorf("%w: %w", ErrInput, err)
	}
	entries, err := os.ReadDir(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.MkdirAll(at, 0o700)
	case err == nil && len(entries) > 0:
		err = fmt.Errorf("%s is not empty: name a new directory, or remove what an earlier demo left in it", dir)
	}
	if err != nil {
		return "", keep, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return at, keep, nil
}

// removeAll removes a directory, also where somebody made a part of it read-only.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	}) // whether it helped shows below
	return os.RemoveAll(dir)
}

// run boots the cluster, plays the scenario, and ends everything.
func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.remove()) }()
	c, listeners, err := newCluster(d.o, d.dir, d.play)
	if err != nil {
		return err
	}
	d.c, d.leader = c, c.nodes[0]
	d.greet()
	err = c.start(listeners)
	if err == nil {
		err = d.connect()
	}
	if err == nil {
		err = d.play.play(ctx, d)
	}
	if err == nil && !d.o.Once {
		err = d.stay(ctx)
	}
	if !d.o.Once && ctx.Err() != nil && !errors.Is(err, ErrCheck) {
		err = nil // whoever looks on has seen enough
	}
	return d.end(err)
}

// greet tells what is about to be shown.
func (d *demo) greet() {
	how := "in this process"
	if d.o.Procs {
		how = "each in a process of its own"
	}
	d.title("triad demo %s: %s, %s", d.o.Layout.Name, count(len(d.c.nodes), "node", "nodes"), how)
	if d.c.of.NobodyLeads() {
		w, r, n := d.c.of.Topology.Needs()
		if t := d.c.of.Topology; t.Local() {
			d.note("every key has %d copies; writes wait for %s and reads for %s; data, logs and %s in %s", n, t.Write, t.Read, fileName, d.c.dir)
			return
		}
		d.note("every key has %d copies, of which writes wait for %d and reads hear %d; data, logs and %s in %s", n, w, r, fileName, d.c.dir)
		return
	}
	d.note("commits wait for %s; data, logs and %s in %s", d.c.of.Topology.Sync, fileName, d.c.dir)
}

// connect makes the clients. They connect when they are first used.
func (d *demo) connect() (err error) {
	o := client.Options{Cluster: d.o.Cluster}
	if d.all, err = client.Dial(d.c.endpoints(), o); err != nil {
		return err
	}
	for _, n := range d.c.nodes {
		c, err := client.Dial([]string{n.addr}, o)
		if err != nil {
			return err
		}
		d.at[n.ID] = c
	}
	return nil
}

// end ends everything, tells how that went, and returns what the demo returns.
func (d *demo) end(err error) error {
	if d.all != nil {
		err = errors.Join(err, d.all.Close())
	}
	for _, c := range d.at {
		err = errors.Join(err, c.Close())
	}
	if stopped := d.c.stop(); stopped != nil && err == nil {
		d.failed(stopped)
		err = ErrCheck
	}
	took := time.Since(d.started).Round(100 * time.Millisecond)
	switch {
	case err == nil:
		d.printf("\n%s %s held, every node ended in order; %v\n", d.paint(green, "ok:"), count(d.checks, "check", "checks"), took)
	case errors.Is(err, ErrCheck):
		d.printf("\n%s %s held, then one did not; %v\n", d.paint(red, "FAILED:"), count(d.checks, "check", "checks"), took)
	}
	if d.o.Dir != "" {
		d.note("what the nodes hold is in %s", d.c.dir)
	}
	if err == nil {
		err = d.teller.err
	}
	return err
}

// stay tells where the cluster can be reached, and keeps it up until ctx ends or
// a node does.
func (d *demo) stay(ctx context.Context) error {
	if d.teller.err != nil {
		return d.teller.err
	}
	d.invite()
	watched, end := d.c.watch(ctx)
	<-watched.Done()
	err := context.Cause(watched)
	end()
	if ctx.Err() != nil {
		return nil
	}
	d.failed(err)
	return ErrCheck
}
