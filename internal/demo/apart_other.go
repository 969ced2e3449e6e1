//go:build !unix

package demo

import "syscall"

// apart has nothing to set where processes have no groups.
func apart() *syscall.SysProcAttr { return nil }
