//go:build unix

package home

import (
	"fmt"
	"os"
	"syscall"
)

// checkMode refuses a directory that other users can get at (bad input 72). One
// of our own that is nobody's home yet is put right.
func (h opening) checkMode(fresh bool) error {
	stat, err := os.Stat(h.dir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", h.dir, err)
	}
	if s, ok := stat.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return h.refuse(ErrExposed, fmt.Sprintf("it is owned by user %d, and this process runs as %d", s.Uid, os.Geteuid()),
			"run the node as its owner, or give it to this user with chown")
	}
	if stat.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if !fresh {
		return h.refuse(ErrExposed, fmt.Sprintf("its mode is %04o", stat.Mode().Perm()), "chmod 700 "+h.dir)
	}
	if err := os.Chmod(h.dir, dirMode); err != nil {
		return h.refuseWrite(err)
	}
	return nil
}
