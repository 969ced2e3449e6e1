//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawner starts processes from one thread of the operating system that lives as
// long as the spawner: a child can so be told to die with that thread, and the
// thread can step into a network namespace to start a child there.
type spawner struct {
	orders chan order
	done   chan struct{}
}

type order struct {
	cmd   *exec.Cmd
	space string // file of the network namespace; empty for our own
	began chan error
}

func newSpawner() *spawner {
	s := &spawner{orders: make(chan order), done: make(chan struct{})}
	go s.run()
	return s
}

func (s *spawner) run() {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	if unix.Gettid() == unix.Getpid() {
		// But the main thread never ends. While it is held here, what is started runs
		// on another.
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			s.serve()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
		return
	}
	s.serve()
}

func (s *spawner) serve() {
	defer close(s.done)
	for o := range s.orders {
		o.began <- startIn(o.cmd, o.space)
	}
}

// start starts cmd in a namespace. The child is killed if this process dies, and
// hears no Ctrl-C that a terminal sends.
func (s *spawner) start(cmd *exec.Cmd, space string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	o := order{cmd: cmd, space: space, began: make(chan error, 1)}
	s.orders <- o
	return <-o.began
}

// close ends the thread, and with it whatever child is left.
func (s *spawner) close() {
	close(s.orders)
	<-s.done
}

func startIn(cmd *exec.Cmd, space string) error {
	if space == "" {
		return cmd.Start()
	}
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open(space)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("network namespace %s: %w", space, err)
	}
	err = cmd.Start()
	return errors.Join(err, unix.Setns(int(home.Fd()), unix.CLONE_NEWNET))
}
