//go:build unix && !linux

package world

import "syscall"

// apart keeps Ctrl-C, which a terminal sends to a whole group of processes, from the
// nodes: the harness ends them in its own order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

const (
	sigStop = syscall.SIGSTOP
	sigGoOn = syscall.SIGCONT
)
