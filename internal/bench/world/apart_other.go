//go:build !unix

package world

import (
	"os"
	"syscall"
)

// apart has nothing to set where processes have no groups.
func apart() *syscall.SysProcAttr { return nil }

// Where nothing can stop a process it is refused by the kernel's own error.
var (
	sigStop os.Signal = syscall.Signal(0x13)
	sigGoOn os.Signal = syscall.Signal(0x12)
)
