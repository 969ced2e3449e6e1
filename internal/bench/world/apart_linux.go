package world

import "syscall"

// apart keeps Ctrl-C, which a terminal sends to a whole group of processes, from the
// nodes: the harness ends them in its own order; if it is killed itself, the kernel does.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

const (
	sigStop = syscall.SIGSTOP
	sigGoOn = syscall.SIGCONT
)
