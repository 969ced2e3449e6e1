package world

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a node that is a process of its own, triad server, over all its lives.
type process struct {
	n           *Node
	file, log   string         // what it reads, and what it says
	resp, admin string         // its ports
	held        []net.Listener // which keep them free until its first life

	mu   sync.Mutex // guards what follows; a leaf
	live *running   // nil: it was ended
	past Usage      // of earlier lives
	seen Usage      // of the present one, as it last said
}

// running is one life of a process.
type running struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; set before done is closed
}

// adminToken is that of ports that live as long as a run, on the loopback.
const adminToken = "bench"

// askWait bounds one question to an admin port.
const askWait = time.Second

// hold takes the ports that only processes have.
func (p *process) hold() error {
	for _, port := range []*string{&p.resp, &p.admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		p.held, *port = append(p.held, l), l.Addr().String()
	}
	return nil
}

// letGo gives them to the process.
func (p *process) letGo() error {
	var errs []error
	for _, l := range p.held {
		errs = append(errs, l.Close())
	}
	p.held = nil
	return errors.Join(errs...)
}

// start begins a life, on what is in the node's directory.
func (p *process) start() error {
	if err := p.letGo(); err != nil {
		return err
	}
	if err := os.WriteFile(p.file, []byte(told{p.n.world}.nodeFile(p.n)), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	r := &running{cmd: exec.Command(p.n.world.o.Binary, "server", "-c", p.file), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.SysProcAttr = log, log, apart()
	mine := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRIAD_") }) // meant for this process
	r.cmd.Env = append(mine, "TRIAD_ADMIN_TOKEN="+adminToken)
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.n.ID, err)
	}
	go func() {
		defer close(r.done)
		r.err = r.cmd.Wait()
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = r
	return nil
}

func (p *process) living() *running {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live
}

// fell is why the process has ended by itself; nil if it has not.
func (p *process) fell() error {
	r := p.living()
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return fmt.Errorf("%s ended by itself: %w: %s", p.n.ID, r.why(), p.lastWords())
	default:
		return nil
	}
}

func (r *running) why() error {
	if r.err == nil {
		return errors.New("in order")
	}
	return r.err
}

// lastWords are the last lines of what it said.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// end ends a life by a signal and waits for that. It first hears what the process has used.
func (p *process) end(ctx context.Context, sig os.Signal) error {
	p.usage(ctx)
	p.mu.Lock()
	r := p.live
	if r == nil {
		p.mu.Unlock()
		return nil
	}
	p.live, p.past, p.seen = nil, p.past.plus(p.seen), Usage{}
	p.mu.Unlock()
	if err := r.signal(sig); err != nil {
		return err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		err := r.signal(syscall.SIGKILL)
		<-r.done
		return errors.Join(fmt.Errorf("%s did not end and was killed: %w", p.n.ID, context.Cause(ctx)), err)
	}
	if sig != syscall.SIGKILL && r.err != nil {
		return fmt.Errorf("%s did not end in order: %w: %s", p.n.ID, r.err, p.lastWords())
	}
	return nil
}

// signal sends one; a process that has ended needs none.
func (r *running) signal(sig os.Signal) error {
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// pause stops the process where it stands, or lets it go on.
func (p *process) pause(on bool) error {
	r := p.living()
	if r == nil {
		return nil
	}
	if on {
		return r.signal(sigStop)
	}
	return r.signal(sigGoOn)
}

// usage is what all lives have used, as far as it was heard.
func (p *process) usage(ctx context.Context) Usage {
	if p.living() != nil {
		if u, err := p.ask(ctx); err == nil {
			p.mu.Lock()
			p.seen = u
			p.mu.Unlock()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.past.plus(p.seen)
}

// asker asks admin ports, each time on a new connection: what a process that was killed
// left open must not answer for it.
var asker = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask hears from a process what it has used. What it wrote is not among that: what the
// kernel counts of a process are whole folios, which may be of a MiB, for each sync.
func (p *process) ask(ctx context.Context) (u Usage, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return u, err
	}
	q.Header.Set("Authorization", "Bearer "+adminToken)
	a, err := asker.Do(q)
	if err != nil {
		return u, err
	}
	defer func() { _ = a.Body.Close() }() // it was only read
	if a.StatusCode != http.StatusOK {
		return u, fmt.Errorf("%s: %s", p.n.ID, a.Status)
	}
	lines := bufio.NewScanner(a.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // of what else is there
		}
		switch name {
		case "process_cpu_seconds_total":
			u.CPU = v
		case "go_memstats_mallocs_total":
			u.Allocs = uint64(v)
		case "triad_log_fsyncs_total":
			u.Syncs = uint64(v)
		}
	}
	return u, lines.Err()
}

// paths are where the process of a node keeps what it is told and says.
func (p *process) paths(dir string) {
	p.file, p.log = filepath.Join(dir, p.n.ID+".yaml"), filepath.Join(dir, p.n.ID+".log")
}
