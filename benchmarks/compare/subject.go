package compare

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Put writes one key and returns once it is durable on the replicas that the
// subject's promise needs. One writer calls it, one at a time.
type Put func(key, value []byte) error

// Get reads one key, which must be there, and returns once its value is known
// to be no older than the last answered write. One client calls it, one at a time.
type Get func(key []byte) error

// Client is what one writer or reader uses of a subject.
type Client struct {
	Put Put
	Get Get // nil: this subject reads nothing
}

// Subject is a store of three nodes under measurement.
type Subject interface {
	// Name is what tables call it.
	Name() string
	// Run brings three nodes up with their files under dir, calls ready with
	// the way to open clients, and works until ctx ends.
	Run(ctx context.Context, dir string, spawn Spawn, ready func(open func() (Client, error))) error
	// Child is Run's other end: what a process does that spawn has started.
	// It calls up with what Run is to know, and works until ctx ends.
	Child(ctx context.Context, args []string, up func(word string)) error
}

// Promiser is a subject that says in words what an answered write means; tables print it.
type Promiser interface{ Promise() string }

// Installer is a subject that may not be there: Installed says why. It is then left out.
type Installer interface{ Installed() error }

// Spawn starts this program once more as a child of the subject and returns
// what the child said when it was up. The child ends after Run has returned.
type Spawn func(args ...string) (word string, err error)

// family is the child processes of a host.
type family struct {
	subject string
	all     []*child
}

// child is one process, which lives as long as its standard input is open, and
// reads there where it is to write a CPU profile.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// start runs this program with args and returns the first line it prints.
func start(args ...string) (*child, *bufio.Reader, io.Writer, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command(exe, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, nil, err
	}
	return &child{cmd: cmd, in: in}, bufio.NewReader(out), in, nil
}

// spawn implements Spawn.
func (f *family) spawn(args ...string) (string, error) {
	c, out, _, err := start(append([]string{verbChild, f.subject}, args...)...)
	if err != nil {
		return "", err
	}
	f.all = append(f.all, c)
	word, err := out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("a child of %s did not come up: %w", f.subject, err)
	}
	return strings.TrimSuffix(word, "\n"), nil
}

func (f *family) pids() []int {
	var ps []int
	for _, c := range f.all {
		ps = append(ps, c.cmd.Process.Pid)
	}
	return ps
}

// profile makes every child write a CPU profile beside the file at path, until
// the function that it returns is called.
func (f *family) profile(path string) (end func() error, err error) {
	tell := func(file func(child int) string) error {
		var errs []error
		for i, c := range f.all {
			_, err := fmt.Fprintln(c.in, file(i+1))
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	if path == "" {
		return func() error { return nil }, nil
	}
	base := strings.TrimSuffix(path, profileExt)
	err = tell(func(child int) string { return fmt.Sprintf("%s-child%d%s", base, child, profileExt) })
	return func() error { return tell(func(int) string { return "" }) }, err
}

// close ends every child and waits for it, the last that was started first: it
// may need those before it to the end.
func (f *family) close() error {
	var errs []error
	for _, c := range slices.Backward(f.all) {
		errs = append(errs, c.close())
	}
	f.all = nil
	return errors.Join(errs...)
}

func (c *child) close() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// serveChild is the life of a child process: it ends when its parent closes
// standard input, or dies.
func serveChild(ctx context.Context, s Subject, args []string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process, whose life standard input is
		defer cancel()
		profiles(in)
	}()
	return s.Child(ctx, args, func(word string) { fmt.Fprintln(out, word) })
}

// profiles writes a CPU profile to every file that a line of in names, each until
// the next line, until in ends.
func profiles(in io.Reader) {
	end := func() error { return nil }
	for lines := bufio.NewScanner(in); lines.Scan(); {
		err := end()
		if err == nil {
			end, err = profile(lines.Text())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "no profile:", err)
		}
	}
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, "no profile:", err)
	}
}
