//go:build unix

package demo

import "syscall"

// apart keeps Ctrl-C, which a terminal sends to a whole group of processes, from
// the nodes: the demo ends them in its own order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
