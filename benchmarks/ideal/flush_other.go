//go:build !linux

package ideal

import "os"

// flush makes the file durable.
func flush(f *os.File) error { return f.Sync() }
