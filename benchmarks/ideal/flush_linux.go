package ideal

import (
	"os"
	"syscall"
)

// flush makes the file's bytes durable, and no metadata that has not changed.
func flush(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
