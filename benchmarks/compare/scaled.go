package compare

import "slices"

// elsewhere is what systems that are not run here reached on another machine of the same
// class (two cores, ext4 on a virtual disk, three replicas on that disk and loopback,
// November 2026, 16 B keys, 128 B values), as ratios to the ideal log in process in the
// same run there. Of a run here they are scaled by the ideal log of that run.
var elsewhere = []struct {
	name, promise string
	ratios        map[int]float64 // by writers
}{
	{"dragonboat (scaled)", "dragonboat v4 in process: flushed on a majority of three; measured elsewhere, and scaled by the ideal log of this run", map[int]float64{
		1: 933.0 / 2997, 16: 10733.0 / 32003, 64: 29599.0 / 105170, 256: 69011.0 / 237597,
	}},
	{"olric (scaled)", "olric, N=3 W=2 R=2, in memory only: no write is on any disk; measured elsewhere, and scaled by the ideal log of this run", map[int]float64{
		1: 4136.0 / 2997, 16: 20728.0 / 32003, 64: 26616.0 / 105170, 256: 27244.0 / 237597,
	}},
}

// Of which run ratios are.
const (
	idealName   = "ideal"
	scaledValue = 128
)

// scaled are the rows of what was measured elsewhere, for so many writers; none where the
// run has no ideal log, or does something else.
func scaled(o Options, measured []Row, writers int) (rows []Row) {
	if o.Op != OpPut || o.Value != scaledValue || o.Rate > 0 || !o.Scaled {
		return nil
	}
	at := slices.IndexFunc(measured, func(r Row) bool { return r.Subject == idealName && r.Writers == writers })
	first := slices.IndexFunc(measured, func(r Row) bool { return r.Subject == o.Subjects[0] && r.Writers == writers })
	if at < 0 {
		return nil
	}
	for _, e := range elsewhere {
		if ratio := e.ratios[writers]; ratio > 0 {
			puts := ratio * measured[at].PerSecond
			rows = append(rows, Row{Subject: e.name, Writers: writers, PerSecond: puts, Ratio: puts / measured[first].PerSecond, Scaled: true})
		}
	}
	return rows
}

// scaledPromises are what those rows promise.
func scaledPromises(rows []Row) map[string]string {
	all := map[string]string{}
	for _, e := range elsewhere {
		if slices.ContainsFunc(rows, func(r Row) bool { return r.Subject == e.name }) {
			all[e.name] = e.promise
		}
	}
	return all
}
