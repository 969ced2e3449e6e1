package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/internal/link"
)

// ids are the nodes.
var ids = []string{"a", "b", "c"}

// cluster is three processes of triad on loopback, with a proxy before each way where packets are dropped.
type cluster struct {
	binary, dir string
	resp, peers []string // addresses of each node
	admin       []string
	links       [][]*link.Link // from, to; nil from a node to itself
	doors       [][]string     // where from reaches to
	procs       []*exec.Cmd    // nil where none runs
	listens     []net.Listener // of the proxies
}

// preset is the part of a configuration that says how fast a failover is.
var presets = map[string]struct{ control, topology string }{
	"default": {},
	"fast":    {control: ", heartbeat: 50ms", topology: "\n  fail_after: 120ms"},
}

func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "triad")
	out, err := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "github.com/triad-kv/triad/cmd/triad").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

// open makes the proxies and configurations, and starts the processes.
func (c *cluster) open(o options) error {
	free, err := compare.FreeAddrs(3 * len(ids))
	if err != nil {
		return err
	}
	c.resp, c.peers, c.admin = free[:len(ids)], free[len(ids):2*len(ids)], free[2*len(ids):]
	p, ok := presets[o.preset]
	if !ok {
		return fmt.Errorf("there is no preset %q", o.preset)
	}
	c.procs = make([]*exec.Cmd, len(ids))
	for from, id := range ids {
		if err := c.connect(from, o.how == "drop"); err != nil {
			return err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "cluster: failover\nnode: {id: %s, dir: %s}\nlisten: {peers: %q, resp: %q, admin: %q}\nmembers:\n", id, filepath.Join(c.dir, id), c.peers[from], c.resp[from], c.admin[from])
		for to, other := range ids {
			fmt.Fprintf(&b, "  %s: {addr: %q, resp: %q}\n", other, c.doors[from][to], c.resp[to])
		}
		fmt.Fprintf(&b, "tls: {insecure: true}\ncontrol: {kind: raft%s}\ntopology:\n  sync: %s (a, b, c)%s\n", p.control, o.policy, p.topology)
		if err := os.WriteFile(c.file(from), []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	for i := range ids {
		if err := c.start(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) file(i int) string { return filepath.Join(c.dir, ids[i]+".yaml") }

// connect makes the proxies through which a node reaches the others, where they are
// wanted: what goes through them waits whenever this process does.
func (c *cluster) connect(from int, proxies bool) error {
	c.links = append(c.links, make([]*link.Link, len(ids)))
	c.doors = append(c.doors, make([]string, len(ids)))
	for to := range ids {
		if to == from || !proxies {
			c.doors[from][to] = c.peers[to]
			continue
		}
		l, err := link.New(link.Options{}, link.Options{})
		if err != nil {
			return err
		}
		door, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c.links[from][to], c.doors[from][to] = l, door.Addr().String()
		c.listens = append(c.listens, door)
		go serve(door, l, c.peers[to])
	}
	return nil
}

// serve passes connections on over a link until the door is closed.
func serve(door net.Listener, l *link.Link, to string) {
	for {
		near, err := door.Accept()
		if err != nil {
			return
		}
		go func() {
			defer near.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			far, err := l.Dial(ctx, func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", to)
			})
			if err != nil {
				return
			}
			defer far.Close()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
			_, _ = io.Copy(far, near)
		}()
	}
}

func (c *cluster) start(i int) error {
	log, err := os.OpenFile(filepath.Join(c.dir, ids[i]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p := exec.Command(c.binary, "server", "-c", c.file(i))
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		return err
	}
	c.procs[i] = p
	return nil
}

// strike makes a node fail; mend undoes it.
func (c *cluster) strike(how string, i int) error {
	switch how {
	case "kill":
		err := c.procs[i].Process.Kill()
		return err
	case "stop":
		return c.procs[i].Process.Signal(syscall.SIGSTOP)
	case "drop":
		c.drop(i, true)
	}
	return nil
}

func (c *cluster) mend(how string, i int) error {
	switch how {
	case "kill":
		_ = c.procs[i].Wait() // killed
		return c.start(i)
	case "stop":
		return c.procs[i].Process.Signal(syscall.SIGCONT)
	case "drop":
		c.drop(i, false)
	}
	return nil
}

func (c *cluster) drop(i int, cut bool) {
	for other := range ids {
		if other != i {
			c.links[i][other].Drop(cut, cut)
			c.links[other][i].Drop(cut, cut)
		}
	}
}

// changes counts what the nodes have said of documents they changed.
func (c *cluster) changes() (n int, err error) {
	for _, id := range ids {
		b, err := os.ReadFile(filepath.Join(c.dir, id+".log"))
		if err != nil {
			return 0, err
		}
		n += strings.Count(string(b), `msg=elected`) + strings.Count(string(b), `msg="in sync"`)
	}
	return n, nil
}

// silences returns the followers' histograms of how long their leader was silent, a line
// each.
func (c *cluster) silences() (lines []string, err error) {
	for i, id := range ids {
		r, err := http.Get("http://" + c.admin[i] + "/metrics")
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		var classes []string
		for line := range strings.Lines(string(b)) {
			if class, ok := strings.CutPrefix(line, `triad_leader_silence_seconds_bucket{le="`); ok {
				word, n, _ := strings.Cut(class, `"} `)
				classes = append(classes, word+" s: "+strings.TrimSpace(n))
			}
		}
		lines = append(lines, id+" heard of its leader within "+strings.Join(classes, ", "))
	}
	return lines, nil
}

func (c *cluster) close() {
	for _, p := range c.procs {
		if p != nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	}
	for _, l := range c.listens {
		_ = l.Close()
	}
}
