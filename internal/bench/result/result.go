// Package result is what a run of the harness has measured, as it is written to a file
// of JSON, and what can be said of it without measuring again.
package result

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/triad-kv/triad/internal/bench/scenario"
)

// Format is the number of this form. A reader refuses another one.
const Format = 1

// Report is one run of one scenario.
type Report struct {
	Format   int       `json:"format"`
	Scenario string    `json:"scenario"` // the name or the file
	About    string    `json:"about,omitempty"`
	Text     string    `json:"text"` // of the file
	Command  string    `json:"command"`
	Commit   string    `json:"commit,omitempty"`
	Machine  string    `json:"machine,omitempty"`
	Cores    int       `json:"cores"`
	Go       string    `json:"go"`
	Began    time.Time `json:"began"`
	Took     float64   `json:"seconds"`
	Seed     int       `json:"seed"`
	Foreign  float64   `json:"foreign_cores"` // that others kept busy meanwhile, on average; 0 where it is not known
	// Partial says why not all was measured; empty if it was.
	Partial string   `json:"partial,omitempty"`
	Fewer   string   `json:"fewer,omitempty"`    // why there were fewer repeats than the scenario has; empty if there were not
	LeftOut []string `json:"left_out,omitempty"` // subjects that could not be run, and why
	Cells   []Cell   `json:"cells"`
	Faults  []Fault  `json:"faults,omitempty"` // of the scenario
	// Checks are what had to hold, and did not.
	Checks []Check `json:"checks,omitempty"`
}

// Check is something that did not hold: a promise that was broken, or an anomaly that
// was to be found and was not.
type Check struct {
	What    string `json:"what"`
	Example string `json:"example,omitempty"` // of what was seen
}

// Fault is one fault as the scenario has it.
type Fault struct {
	Name string   `json:"name"`
	Do   string   `json:"do"`
	Who  []string `json:"who"`
	At   float64  `json:"at"` // seconds since measuring began
	For  float64  `json:"for"`
}

// Cell is one kind of work on one subject, over all repeats.
type Cell struct {
	Subject   string        `json:"subject"`
	Topology  string        `json:"topology"`
	Workload  string        `json:"workload"`
	Kind      scenario.Kind `json:"kind"`
	Promise   string        `json:"promise"`
	Read      string        `json:"read"` // what the reads of the load ask for
	OpenLoop  bool          `json:"open_loop,omitempty"`
	Disks     int           `json:"disks"`               // on how many a write is when it is acknowledged
	Via       string        `json:"via,omitempty"`       // how clients ask nodes that are processes
	Anomalies []Anomaly     `json:"anomalies,omitempty"` // summed over the runs
	Runs      []Run         `json:"runs"`
}

// Run is one repeat.
type Run struct {
	Seconds   float64            `json:"seconds"`
	Ops       int                `json:"ops"`               // answered as asked
	Failed    int                `json:"failed,omitempty"`  // answered NotApplied
	Unknown   int                `json:"unknown,omitempty"` // nobody knows
	Shed      int                `json:"shed,omitempty"`    // due while all clients waited
	Latency   map[string]Latency `json:"latency"`           // by class
	Series    []Point            `json:"series"`
	Staleness map[string]Stale   `json:"staleness,omitempty"` // by the level of reads
	Sums      *Sums              `json:"sums,omitempty"`
	Conflicts map[string]int     `json:"conflicts,omitempty"` // by type
	Faults    []Suffered         `json:"faults,omitempty"`
	Leaders   []Leader           `json:"leaders,omitempty"` // who was seen to lead, where one does
	Acked     int                `json:"acked"`             // writes of the probes, acknowledged
	Lost      int                `json:"lost"`              // of those, not there in the end: the RPO, in writes
	Converged float64            `json:"converged_ms"`
	Cost      Cost               `json:"cost"`
}

// Throughput is operations a second.
func (r Run) Throughput() float64 {
	if r.Seconds == 0 {
		return 0
	}
	return float64(r.Ops) / r.Seconds
}

// Latency is how long one class of operations took, in milliseconds; in an open loop
// from when they were due.
type Latency struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	// Curve is the latency at rising shares of all operations, each half as far from
	// 1 as the one before.
	Curve []Quantile `json:"curve,omitempty"`
}

// Quantile is a latency, in milliseconds, that a share does not exceed.
type Quantile struct {
	Share float64 `json:"q"`
	MS    float64 `json:"ms"`
}

// Point is one tenth of a second.
type Point struct {
	At     float64        `json:"t"` // its beginning, in seconds since measuring began
	Writes int            `json:"w"`
	Reads  int            `json:"r"`
	Sites  map[string]int `json:"sites,omitempty"` // writes by the site of who asked
}

// Stale is how old what reads of one level showed was.
type Stale struct {
	Reads    int     `json:"reads"`
	Stale    int     `json:"stale"` // that missed something acknowledged before they were asked
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	Versions int     `json:"versions_max"`
	// Predicted is the share that PBS predicts to be stale, where nobody leads: that of
	// reads whose replicas are none of those that the write waited for. It leaves out that
	// writes spread on meanwhile.
	Predicted *float64 `json:"pbs_stale,omitempty"`
	// Shares are of all reads those that were no older than so many milliseconds.
	Shares []Quantile `json:"shares,omitempty"`
}

// Sums is what became of acknowledged changes of counters, carts, accounts, documents.
type Sums struct {
	Changes int    `json:"changes"`
	Lost    int    `json:"lost"`
	Extra   int    `json:"extra,omitempty"`
	What    string `json:"what"`
}

// Leader is that somebody was first seen to lead.
type Leader struct {
	At   float64 `json:"t"` // seconds since measuring began; negative: before
	Node string  `json:"node"`
	Term uint64  `json:"term"`
}

// Suffered is what a fault cost.
type Suffered struct {
	Name string   `json:"name"`
	Hit  []string `json:"hit,omitempty"` // the nodes that it was done to
	// NoWrite and NoRead are the longest times, in seconds, from when the fault began
	// until some seconds after it was mended, in which clients of a site had no write, no
	// read acknowledged, by the site that fared worst. Anywhere is that of all sites
	// together for writes: the RTO.
	NoWrite  float64 `json:"no_write_s"`
	NoRead   float64 `json:"no_read_s"`
	Anywhere float64 `json:"anywhere_s"`
	// WriteP50 and WriteP99 are of writes that were due while it lasted, in ms, and were
	// answered.
	WriteP50 float64 `json:"write_p50_ms,omitempty"`
	WriteP99 float64 `json:"write_p99_ms,omitempty"`
	Worst    string  `json:"worst_site,omitempty"`
}

// Anomaly is how often something happened to reads of a level, or to writes.
type Anomaly struct {
	What      scenario.Anomaly `json:"what"`
	Level     scenario.Level   `json:"level,omitempty"` // empty: it is not about reads
	Judged    int              `json:"judged"`
	Found     int              `json:"found"`
	Undecided int              `json:"undecided,omitempty"`
	Forbidden bool             `json:"forbidden"`
	Example   string           `json:"example,omitempty"`
}

// Cost is what an operation took, the load's own share included.
type Cost struct {
	WireBytes float64 `json:"wire_bytes"` // between nodes
	Messages  float64 `json:"messages"`   // between nodes; such as come at once count as one
	DiskBytes float64 `json:"disk_bytes"` // all nodes
	Syncs     float64 `json:"syncs"`      // all nodes
	CPU       float64 `json:"cpu_us"`     // of this process: nodes, load and probes
	Allocs    float64 `json:"allocs"`     // likewise
}

// Read reads a report from a file.
func Read(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s is no report of triad bench: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s is a report of format %d, and this binary reads %d", path, r.Format, Format)
	}
	return &r, nil
}

// JSON is the report as a file holds it.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "\t")
	return append(b, '\n'), err
}

// Find returns the cell of a subject and a workload; nil if it was not measured.
func (r *Report) Find(subject, workload string) *Cell {
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Subject == subject && c.Workload == workload {
			return c
		}
	}
	return nil
}
