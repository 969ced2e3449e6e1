package result

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/internal/bench/scenario"
)

// Advice is which subject fits a need, by what was measured, and what it costs.
type Advice struct {
	Need   string
	Fits   []Fit    // the best first
	Misfit []string // who does not fit, and why
}

// Fit is one subject that fits.
type Fit struct {
	Subject string
	Why     string // in numbers
	Cost    string // against the fastest of all
}

// need is something that a user may want of a subject.
type need struct {
	what string
	// lacks says why a subject does not fit, in a few words; empty if it does.
	lacks func(r *Report, subject string) string
	// better orders those that fit: less is better.
	better func(r *Report, subject string) float64
	why    func(r *Report, subject string) string
}

// Advise says, for the numbers of a report and for nothing else, who fits what.
func Advise(r *Report) (all []Advice) {
	for _, n := range needs(r) {
		a := Advice{Need: n.what}
		var fit []string
		for _, s := range r.Subjects() {
			if why := n.lacks(r, s); why != "" {
				a.Misfit = append(a.Misfit, s+": "+why)
				continue
			}
			fit = append(fit, s)
		}
		slices.SortStableFunc(fit, func(x, y string) int {
			switch dx, dy := n.better(r, x), n.better(r, y); {
			case dx < dy:
				return -1
			case dx > dy:
				return 1
			}
			return 0
		})
		for _, s := range fit {
			a.Fits = append(a.Fits, Fit{Subject: s, Why: n.why(r, s), Cost: costOf(r, s)})
		}
		all = append(all, a)
	}
	return all
}

// Subjects are those of which something was measured, in the order of the report.
func (r *Report) Subjects() (names []string) {
	for _, c := range r.Cells {
		if len(c.Runs) > 0 && !slices.Contains(names, c.Subject) {
			names = append(names, c.Subject)
		}
	}
	return names
}

// found is how often a subject met an anomaly, at a level or of writes, and of how many.
func (r *Report) found(subject string, what scenario.Anomaly, level scenario.Level) (found, judged int) {
	for _, c := range r.Cells {
		for _, a := range c.Anomalies {
			if c.Subject == subject && a.What == what && a.Level == level {
				found, judged = found+a.Found, judged+a.Judged
			}
		}
	}
	return found, judged
}

// mean is the mean of a figure over a subject's kinds of work, of each the median; false
// if none has it.
func (r *Report) mean(subject string, of func(Run) (float64, bool)) (float64, bool) {
	sum, n := 0.0, 0
	for i := range r.Cells {
		c := &r.Cells[i]
		if vs := c.Values(Figure{Of: of}); c.Subject == subject && len(vs) > 0 {
			sum, n = sum+Median(vs), n+1
		}
	}
	return sum / float64(max(n, 1)), n > 0
}

func throughput(r *Report, subject string) float64 {
	v, _ := r.mean(subject, func(run Run) (float64, bool) { return run.Throughput(), true })
	return v
}

func writeP99(r *Report, subject string) float64 {
	v, _ := r.mean(subject, latency("write", func(l Latency) float64 { return l.P99 }))
	return v
}

// costOf is a subject's throughput and slow writes against the fastest of all.
func costOf(r *Report, subject string) string {
	most, least := 0.0, 0.0
	for _, s := range r.Subjects() {
		most = max(most, throughput(r, s))
		if p := writeP99(r, s); p > 0 && (least == 0 || p < least) {
			least = p
		}
	}
	text := ""
	if most > 0 {
		text = fmt.Sprintf("%.0f %% of the throughput of the fastest", 100*throughput(r, subject)/most)
	}
	if p := writeP99(r, subject); p > 0 && least > 0 {
		text += fmt.Sprintf(", a write's p99 %.1f times that of the quickest (%.2f ms)", p/least, p)
	}
	return text
}

// absent wants that an anomaly is promised not to happen, and did not.
func absent(r *Report, subject string, what scenario.Anomaly, level scenario.Level) string {
	found, judged := r.found(subject, what, level)
	switch {
	case judged == 0:
		return ""
	case found > 0:
		return fmt.Sprintf("%s: %d of %d", what, found, judged)
	case !r.promised(subject, what, level):
		return fmt.Sprintf("%s did not happen here, and nothing promises that", what)
	}
	return ""
}

func (r *Report) promised(subject string, what scenario.Anomaly, level scenario.Level) bool {
	for _, c := range r.Cells {
		for _, a := range c.Anomalies {
			if c.Subject == subject && a.What == what && a.Level == level {
				return a.Forbidden
			}
		}
	}
	return false
}

// disks is on how many disks a subject's writes are when they are acknowledged.
func (r *Report) disks(subject string) int {
	for _, c := range r.Cells {
		if c.Subject == subject {
			return c.Disks
		}
	}
	return 0
}

func needs(r *Report) []need {
	fast := func(r *Report, s string) float64 { return -throughput(r, s) }
	quick := func(r *Report, s string) string {
		return fmt.Sprintf("%.0f operations a second, a write's p99 %.2f ms", throughput(r, s), writeP99(r, s))
	}
	first := func(all ...string) string {
		for _, s := range all {
			if s != "" {
				return s
			}
		}
		return ""
	}
	ns := []need{
		{"One truth: a reader who asks for it sees everything acknowledged before (linearizable)", func(r *Report, s string) string {
			return first(absent(r, s, scenario.NotLinearizable, scenario.LevelLinearizable), absent(r, s, scenario.StaleReads, scenario.LevelLinearizable))
		}, fast, quick},
		{"Users see their own changes, and never go back in time (session)", func(r *Report, s string) string {
			return first(absent(r, s, scenario.OwnWrites, scenario.LevelSession), absent(r, s, scenario.BackInTime, scenario.LevelSession))
		}, fast, quick},
		{"What is acknowledged survives the loss of any one machine, its disk included", func(r *Report, s string) string {
			if n := r.disks(s); n < 2 {
				return fmt.Sprintf("it is on %d disks when it is acknowledged", n)
			}
			return absent(r, s, scenario.LostWrites, "")
		}, fast, quick},
		{"Counters, carts, accounts and documents come out right", func(r *Report, s string) string {
			if _, judged := r.found(s, scenario.LostUpdates, ""); judged == 0 {
				return "no such work was measured"
			}
			return absent(r, s, scenario.LostUpdates, "")
		}, fast, quick},
		{"As much as possible, whatever readers meet", func(*Report, string) string { return "" }, fast, quick},
		{"The quickest writes", func(r *Report, s string) string {
			if writeP99(r, s) == 0 {
				return "nothing was written"
			}
			return ""
		}, writeP99, quick},
	}
	if len(r.Faults) > 0 {
		ns = append(ns, need{"Everybody can write while something is broken", func(*Report, string) string { return "" }, worstFault, func(r *Report, s string) string {
			return fmt.Sprintf("at worst some site did not write for %.2f s", worstFault(r, s))
		}})
	}
	return ns
}

// worstFault is the longest time without a write at a site, of all faults.
func worstFault(r *Report, subject string) (worst float64) {
	for _, c := range r.Cells {
		if c.Subject != subject {
			continue
		}
		for _, run := range c.Runs {
			for _, f := range run.Faults {
				worst = max(worst, f.NoWrite)
			}
		}
	}
	return worst
}
