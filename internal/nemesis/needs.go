//go:build linux

package nemesis

import (
	"os"
	"strings"
)

// need is what a fault takes that not every machine has.
type need string

const (
	needSpaces need = "a network namespace for each node"
	needImage  need = "a file system for each node"
	needTracer need = "strace"
)

// probe finds out what cannot be had here without trying it.
func (c *cluster) probe() {
	lacks := func(n need, tools ...string) {
		switch not := missing(tools...); {
		case c.plain:
			c.lacks[n] = "-plain was given"
		case os.Getuid() != 0:
			c.lacks[n] = "it takes root"
		case len(not) > 0:
			c.lacks[n] = strings.Join(not, ", ") + " is not installed"
		}
	}
	lacks(needSpaces, "ip", "nft", "tc")
	lacks(needImage, "mkfs.ext4", "mount", "losetup")
	lacks(needTracer, "strace")
}

// missing says why a fault cannot happen here; empty if it can.
func (c *cluster) missing(f *fault) string {
	for _, n := range f.needs {
		if why := c.lacks[n]; why != "" {
			return string(n) + ": " + why
		}
	}
	return ""
}
