//go:build linux

package nemesis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/triad-kv/triad/internal/admin"
)

const (
	clusterName = "nemesis"
	adminToken  = "nemesis" // of a port that lives as long as a run
	endWait     = 10 * time.Second
	killWait    = 10 * time.Second
	askWait     = 2 * time.Second
)

// node is one of the three, and its process while one runs.
type node struct {
	id     string
	dir    string        // its data directory
	file   string        // its configuration
	logs   string        // what it says, over all its processes
	binary string        // triad
	elects bool          // who leads is found out by the nodes
	offset time.Duration // of its clock, from the next start on
	net    network
	spawn  *spawner

	mu   sync.Mutex // guards what follows; a leaf
	live *process   // nil: none was started, or it was ended by us
}

// process is one life of a node's process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set before done is closed
}

// start starts the process. It returns before the node is ready.
func (n *node) start() error {
	log, err := os.OpenFile(n.logs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	args := []string{"server", "-c", n.file}
	if n.offset != 0 {
		args = append(args, "--debug-clock-offset", n.offset.String())
	}
	fmt.Fprintf(log, "--- %s %s\n", time.Now().Format("15:04:05.000"), strings.Join(args, " "))
	p := &process{cmd: exec.Command(n.binary, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRIAD_") }), "TRIAD_ADMIN_TOKEN="+adminToken)
	if err := n.spawn.start(p.cmd, n.net.space(n.id)); err != nil {
		return fmt.Errorf("node %s: %w", n.id, err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	n.mu.Lock()
	n.live = p
	n.mu.Unlock()
	return nil
}

// process returns the process that runs, or ran and ended by itself.
func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live
}

func (n *node) forget() {
	n.mu.Lock()
	n.live = nil
	n.mu.Unlock()
}

// ended reports whether the process has ended by itself, and how.
func (n *node) ended() (bool, error) {
	p := n.process()
	if p == nil {
		return false, nil
	}
	select {
	case <-p.done:
		return true, p.err
	default:
		return false, nil
	}
}

func (n *node) signal(s os.Signal) error {
	p := n.process()
	if p == nil {
		return fmt.Errorf("node %s does not run", n.id)
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func (p *process) wait(limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		return nil
	case <-t.C:
		return fmt.Errorf("process %d has not ended after %v", p.cmd.Process.Pid, limit)
	}
}

// kill ends the process at once.
func (n *node) kill() error {
	p := n.process()
	if p == nil {
		return nil
	}
	defer n.forget()
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	return p.wait(killWait)
}

// stop ends the process in order: it must end with 0, in time.
func (n *node) stop() (time.Duration, error) {
	p := n.process()
	if p == nil {
		return 0, fmt.Errorf("node %s does not run", n.id)
	}
	began := time.Now()
	if err := n.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	if err := p.wait(endWait); err != nil {
		return endWait, errors.Join(fmt.Errorf("after SIGTERM node %s: %w", n.id, err), n.kill())
	}
	n.forget()
	if p.err != nil {
		return time.Since(began), fmt.Errorf("after SIGTERM node %s ended with %w: %s", n.id, p.err, n.lastWords())
	}
	return time.Since(began), nil
}

// said is all that the node has logged.
func (n *node) said() string {
	b, err := os.ReadFile(n.logs)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// lastWords are the last lines of the node's log.
func (n *node) lastWords() string {
	lines := strings.Split(strings.TrimSpace(n.said()), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// asker asks admin ports, each time on a new connection: what a node that was
// killed left open must not answer for it.
var asker = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: askWait}

func (n *node) ask(ctx context.Context, path string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at(n.net.addr(n.id), portAdmin)+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	a, err := asker.Do(r)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, 1<<20))
	return a.StatusCode, b, errors.Join(err, a.Body.Close())
}

// status asks the node what it knows of itself.
func (n *node) status(ctx context.Context) (admin.Status, error) {
	var s admin.Status
	code, b, err := n.ask(ctx, "/status")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status %d: %s", code, b)
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// ready reports whether the node leads or follows.
func (n *node) ready(ctx context.Context) bool {
	code, _, err := n.ask(ctx, "/readyz")
	return err == nil && code == http.StatusOK
}

// well reports whether the node has not failed.
func (n *node) well(ctx context.Context) bool {
	code, _, err := n.ask(ctx, "/healthz")
	return err == nil && code == http.StatusOK
}

// configure writes the node's file.
func (n *node) configure() error {
	var b strings.Builder
	self := n.net.addr(n.id)
	fmt.Fprintf(&b, "cluster: %s\nnode: {id: %s, dir: %s}\n", clusterName, n.id, n.dir)
	fmt.Fprintf(&b, "listen: {peers: %s, resp: %s, admin: %s}\nmembers:\n", at(self, portPeers), at(self, portRESP), at(self, portAdmin))
	for _, id := range ids {
		fmt.Fprintf(&b, "  %s: {addr: %s, resp: %s}\n", id, at(n.net.view(n.id, id), portPeers), at(n.net.addr(id), portRESP))
	}
	how := configByHand
	if n.elects {
		how = configElects
	}
	fmt.Fprintf(&b, configRest, how)
	return os.WriteFile(n.file, []byte(b.String()), 0o600)
}

// configRest is what all nodes share. Its limits are small, so that segments
// change, logs are trimmed and snapshots are needed all the time.
const configRest = `tls: {insecure: true}
%s
  kind: single-leader
  durability: flushed
  retain_bytes_max: 1MiB
  call_timeout: 1s
limits:
  value_bytes_max: 64KiB
  log_segment_bytes: 256KiB
  log_first_segment_bytes: 128KiB
  log_tail_bytes: 256KiB
  log_retain_bytes: 512KiB
  retain_every: 1s
  store_cache_bytes: 4MiB
`

// How the nodes find out who leads: by what a person says, or among themselves.
const (
	configByHand = `control: {kind: static, leader: a}
topology:
  sync: any 1 (b, c)`
	configElects = `control: {kind: raft}
topology:
  sync: first 1 (a, b, c)`
)

// Build compiles the binary that a run breaks.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "triad")
	c := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "github.com/triad-kv/triad/cmd/triad")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

func (n *node) fell() error {
	if over, err := n.ended(); over {
		return fmt.Errorf("node %s has ended: %v: %s", n.id, err, n.lastWords())
	}
	return nil
}
