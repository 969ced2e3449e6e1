//go:build !linux

package machine

import "runtime"

// Name is the system and the architecture: more is known on Linux alone.
func Name() string { return runtime.GOOS + "/" + runtime.GOARCH }

// CPU is not known here: 0.
func CPU() float64 { return 0 }

// Busy is not known here: 0.
func Busy() float64 { return 0 }
