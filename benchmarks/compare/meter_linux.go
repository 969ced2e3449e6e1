package compare

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/triad-kv/triad/internal/bench/machine"
)

// ticks is how many a second the counters of /proc take: USER_HZ, 100 on every
// architecture that Go runs on.
const ticks = 100

// newMeter returns a meter over this process, the children that pids names with
// what they have started, and the disk that holds dir.
func newMeter(dir string, pids func() []int) meter {
	return func() reading {
		r := reading{own: machine.CPU(), machine: machine.Busy()}
		for _, pid := range pids() {
			r.own += processCPU(pid)
			for _, started := range startedBy(pid) {
				r.own += processCPU(started)
			}
		}
		r.flushes, r.writtenKiB = disk(dir)
		return r
	}
}

// processCPU is what a living process has used, from fields 14 and 15 of its
// stat; getrusage counts children only once they have ended.
func processCPU(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name may hold blanks; field 3 is f[0]
	if len(f) < 13 {
		return 0
	}
	return (number(f[11]) + number(f[12])) / ticks
}

// startedBy returns the children of a process, each of which belongs to the
// thread that has started it.
func startedBy(pid int) []int {
	var pids []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for f := range strings.FieldsSeq(string(b)) {
			pids = append(pids, int(number(f)))
		}
	}
	return pids
}

// disk returns the cache flushes of the device that holds dir, and the KiB
// written to it.
func disk(dir string) (flushes, kib float64) {
	var st syscall.Stat_t
	b, err := os.ReadFile("/proc/diskstats")
	if err != nil || syscall.Stat(dir, &st) != nil {
		return 0, 0
	}
	dev := uint64(st.Dev)
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) >= 20 && f[0] == fmt.Sprint(major) && f[1] == fmt.Sprint(minor) {
			return number(f[18]), number(f[9]) / 2
		}
	}
	return 0, 0
}

func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return n
}
