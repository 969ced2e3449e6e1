package machine

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Name is the processor and the kernel.
func Name() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return model
	}
	version := strings.SplitN(strings.TrimSpace(string(release)), ".", 3) // what follows is the builder's business
	return model + ", Linux " + strings.Join(version[:min(2, len(version))], ".")
}

// CPU is the seconds of CPU that this process has used, to the microsecond.
func CPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime)
}

// ticks is how many a second the counters of /proc take: USER_HZ, 100 on every
// architecture that Go runs on.
const ticks = 100

// Busy is the seconds of CPU that all cores have spent but idle, waiting for the disk, and
// on guests, who are counted in the first fields already.
func Busy() float64 {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var busy float64
	for i, f := range strings.Fields(line) {
		if name, idle, wait, guest := i == 0, i == 4, i == 5, i > 8; name || idle || wait || guest {
			continue
		}
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0
		}
		busy += n
	}
	return busy / ticks
}
