package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// InheritedFD is where a node process finds its listener.
const InheritedFD = 3

// process is a node in a process of its own.
type process struct {
	cmd   *exec.Cmd
	leash io.Closer // its standard input: once closed, the process ends
	last  *lastLine
	done  chan struct{}
	err   error // set before done is closed
}

// liveProcess starts `binary node …` on a listener that is bound already. What
// it logs goes to log.
func liveProcess(binary string, s Spec, l *net.TCPListener, log io.Writer) (life, error) {
	f, err := l.File()
	// From here on the child alone listens, so that its death closes the port.
	err = errors.Join(err, l.Close())
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the child has its own
	p := &process{last: &lastLine{to: log}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, append(s.Args(), "--inherit")...)
	p.cmd.ExtraFiles = []*os.File{f}
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRIAD_") }) // meant for this process
	p.cmd.Stdout, p.cmd.Stderr = p.last, p.last
	p.cmd.SysProcAttr = apart()
	if p.leash, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.wait()
	return p, nil
}

func (p *process) wait() {
	defer close(p.done)
	if err := p.cmd.Wait(); err != nil {
		p.err = fmt.Errorf("process %d: %w", p.cmd.Process.Pid, err)
		if line := p.last.String(); line != "" {
			p.err = fmt.Errorf("%w: %s", p.err, line)
		}
	}
}

func (p *process) ended() <-chan struct{} { return p.done }

func (p *process) reason() error {
	if p.err == nil {
		return errEndedEarly
	}
	return p.err
}

func (p *process) stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		err := p.kill(context.WithoutCancel(ctx))
		return errors.Join(fmt.Errorf("it did not end and was killed: %w", context.Cause(ctx)), err)
	}
}

func (p *process) kill(ctx context.Context) error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it does not end: %w", context.Cause(ctx))
	}
}

// signal sends sig; a process that has ended needs none.
func (p *process) signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// errorPrefix is how a line begins in which a command says why it failed.
const errorPrefix = "triad: "

// lineBytesMax bounds what is kept of such a line.
const lineBytesMax = 1 << 10

// lastLine passes everything on and remembers the last line in which the process
// says why it failed.
type lastLine struct {
	to io.Writer

	mu    sync.Mutex // guards what follows; a leaf
	line  []byte     // the beginning of the line that is being written
	fault string     // the last one that said why
}

func (l *lastLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	for part := range strings.Lines(string(b)) {
		l.line = append(l.line, part[:min(len(part), lineBytesMax-len(l.line))]...)
		if strings.HasSuffix(part, "\n") {
			if fault, ok := strings.CutPrefix(string(l.line), errorPrefix); ok {
				l.fault = strings.TrimSpace(fault)
			}
			l.line = l.line[:0]
		}
	}
	l.mu.Unlock()
	return l.to.Write(b)
}

// String is that line; empty if there was none.
func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}
