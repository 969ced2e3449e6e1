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

// lineBytesMax bounds what is kept of a process's last line.
const lineBytesMax = 1 << 10

// lastLine passes everything on and remembers the beginning of the last line:
// where a command ends with an error, that is the error.
type lastLine struct {
	to io.Writer

	mu   sync.Mutex // guards what follows; a leaf
	full []byte     // the last line that is complete
	open []byte     // what came since
}

func (l *lastLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	for line := range strings.Lines(string(b)) {
		l.open = append(l.open, line[:min(len(line), lineBytesMax-len(l.open))]...)
		if strings.HasSuffix(line, "\n") {
			if text := strings.TrimSpace(string(l.open)); text != "" {
				l.full = []byte(text)
			}
			l.open = l.open[:0]
		}
	}
	l.mu.Unlock()
	return l.to.Write(b)
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimPrefix(string(l.full), "triad: ")
}
