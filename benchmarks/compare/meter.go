package compare

// meter reads the counters that a cell is charged with.
type meter func() reading

// reading is all counters at one time; only differences mean something.
type reading struct {
	own        float64 // CPU seconds of this process and its children
	machine    float64 // CPU seconds of the machine, idle and waiting left out
	flushes    float64 // cache flushes of the device
	writtenKiB float64
}

func (r reading) minus(s reading) reading {
	return reading{r.own - s.own, r.machine - s.machine, r.flushes - s.flushes, r.writtenKiB - s.writtenKiB}
}
