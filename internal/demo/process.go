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

// Where a node process finds its listeners.
const (
	InheritedFD     = 3 // for peers
	InheritedRESPFD = 4 // for Redis clients, if it has one
)

// process is a node in a process of its own.
type process struct {
	cmd   *exec.Cmd
	leash io.WriteCloser // its standard input: it takes orders, and once closed, the process ends
	heard answers        // its standard output: a line for each order
	last  *lastLine
	done  chan struct{}
	err   error // set before done is closed
}

// liveProcess starts `binary node …` on listeners that are bound already. What it
// logs goes to log.
func liveProcess(binary string, s Start, log io.Writer) (life, error) {
	args := append(s.Args(), "--inherit")
	files, err := handOver(s.Peers)
	if s.Clients != nil {
		more, failed := handOver(s.Clients)
		files, err = append(files, more...), errors.Join(err, failed)
		args = append(args, "--inherit-resp")
	}
	defer func() {
		for _, f := range files {
			_ = f.Close() // the child has its own
		}
	}()
	if err != nil {
		return nil, err
	}
	p := &process{last: &lastLine{to: log}, heard: make(answers, answersMax), done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.ExtraFiles = files
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TRIAD_") }) // meant for this process
	p.cmd.Stdout, p.cmd.Stderr = p.heard, p.last
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

// handOver turns a listener into a file for a child. From then on the child alone
// listens, so that its death closes the port.
func handOver(l net.Listener) ([]*os.File, error) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a listener of type %T can not be handed over", l), l.Close())
	}
	f, err := t.File()
	if err := errors.Join(err, l.Close()); err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// answersMax bounds the answers that nobody has taken yet.
const answersMax = 16

// answers are lines that a process answers its orders with.
type answers chan string

func (a answers) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		select {
		case a <- strings.TrimSpace(line):
		default: // nobody asked
		}
	}
	return len(b), nil
}

// AnswerDone is what a process answers when an order was carried out; any other
// line says why not.
const AnswerDone = "done"

func (p *process) tell(ctx context.Context, line string) error {
	if _, err := fmt.Fprintln(p.leash, line); err != nil {
		return err
	}
	select {
	case answer := <-p.heard:
		if answer != AnswerDone {
			return errors.New(answer)
		}
		return nil
	case <-p.done:
		return p.reason()
	case <-ctx.Done():
		return fmt.Errorf("it does not answer: %w", context.Cause(ctx))
	}
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
