// Command failover measures how long a cluster that elects its leader by itself
// acknowledges nothing after its leader has failed: three processes of triad on
// loopback, where packets are to be dropped a proxy before each way between them, and
// clients that write all the time.
//
//	go run ./benchmarks/failover -how kill -preset default -times 50
//	go run ./benchmarks/failover -how switchover -json switchover.json
//	go run ./benchmarks/failover -false 10m -preset fast
//
// A time begins with the fault and ends with the first acknowledgement of a write
// that was begun after it at another node. Clients leave the node that failed at
// once, so what a client takes to notice is not counted. Of a switchover it is the
// longest time in which nothing was acknowledged. At the end every acknowledged
// write is looked for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	startWait = 30 * time.Second
	faultWait = 30 * time.Second
	pollEvery = 20 * time.Millisecond
)

// options say what is measured.
type options struct {
	how, preset, policy string
	times, clients      int
	steady, rest, back  time.Duration
	json                string
	keep                bool
}

// report is what was measured; times are in ms.
type report struct {
	How      string    `json:"how"`
	Preset   string    `json:"preset"`
	Policy   string    `json:"policy"`
	Times    []float64 `json:"times_ms"`
	Median   float64   `json:"median_ms"`
	P95      float64   `json:"p95_ms"`
	Worst    float64   `json:"worst_ms"`
	Acked    int       `json:"acknowledged"`
	Lost     int       `json:"lost"`
	Unwanted int       `json:"unwanted_terms"`
	Silences []string  `json:"silences,omitempty"` // of leaders, in a run in which nothing fails
	Changes  int       `json:"group_changes"`      // elections and in-sync sets that the nodes logged after the start
}

func main() {
	var o options
	flag.StringVar(&o.how, "how", "kill", "kill, stop, drop or switchover")
	flag.StringVar(&o.preset, "preset", "default", "default or fast")
	flag.StringVar(&o.policy, "policy", "first 1", "first 1, any 1 or all")
	flag.IntVar(&o.times, "times", 12, "failures")
	flag.IntVar(&o.clients, "clients", 8, "clients, each with one write at a time")
	flag.DurationVar(&o.steady, "false", 0, "let nothing fail for so long, and count the terms")
	flag.DurationVar(&o.rest, "rest", 2*time.Second, "between a failure's end and the next")
	flag.DurationVar(&o.back, "back", 0, "the node that failed comes back after so long, whatever the others do: all waits for it; 0: once they acknowledge")
	flag.StringVar(&o.json, "json", "", "a file for the report")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory, with what the nodes logged")
	flag.Parse()
	r, err := measure(context.Background(), o)
	if err == nil {
		r.print()
		if o.json != "" {
			var b []byte
			if b, err = json.MarshalIndent(r, "", "  "); err == nil {
				err = os.WriteFile(o.json, append(b, '\n'), 0o600)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
	if r.Lost > 0 {
		os.Exit(1)
	}
}

func (r *report) print() {
	fmt.Printf("%s, %s, %s: median %.0f ms, p95 %.0f, worst %.0f of %d; %d of %d acknowledged writes lost; %d unwanted terms; %d changes of the group\n",
		r.How, r.Preset, r.Policy, r.Median, r.P95, r.Worst, len(r.Times), r.Lost, r.Acked, r.Unwanted, r.Changes)
	for _, s := range r.Silences {
		fmt.Println(s)
	}
}

// measure runs a cluster and its clients, and takes the measurements.
func measure(ctx context.Context, o options) (r *report, err error) {
	if !slices.Contains([]string{"kill", "stop", "drop", "switchover"}, o.how) {
		return nil, fmt.Errorf("-how %q: kill, stop, drop or switchover", o.how)
	}
	dir, err := os.MkdirTemp("", "failover")
	if err != nil {
		return nil, err
	}
	defer func() {
		switch {
		case err != nil:
			err = fmt.Errorf("%w; see %s", err, dir)
		case o.keep || r.Unwanted > 0 || r.Lost > 0:
			fmt.Println("logs and data are kept in", dir)
		default:
			err = os.RemoveAll(dir)
		}
	}()
	c := &cluster{dir: dir}
	if c.binary, err = build(ctx, dir); err != nil {
		return nil, err
	}
	defer c.close()
	if err := c.open(o); err != nil {
		return nil, err
	}
	l := newLoad(c, o.clients)
	ctx, stop := context.WithCancel(ctx)
	defer l.wait.Wait()
	defer stop()
	first := l.begin(-1)
	l.run(ctx)
	if !within(first, startWait) {
		return nil, errors.New("no write was acknowledged after the start")
	}
	r = &report{How: o.how, Preset: o.preset, Policy: o.policy}
	if o.steady > 0 {
		r.How = "nothing for " + o.steady.String()
	}
	if err := r.fill(c, l, o); err != nil {
		return nil, err
	}
	stop()
	l.wait.Wait()
	lead, _, err := c.settled()
	if err != nil {
		return nil, err
	}
	r.Acked, r.Lost, err = l.lost(c.resp[lead])
	return r, err
}

// fill takes the measurements while clients write.
func (r *report) fill(c *cluster, l *load, o options) error {
	time.Sleep(o.rest)
	_, before, err := c.settled()
	if err != nil {
		return err
	}
	changes, err := c.changes()
	if err != nil {
		return err
	}
	wanted := 0
	if o.steady > 0 {
		l.begin(-1)
		time.Sleep(o.steady)
		if r.Silences, err = c.silences(); err != nil {
			return err
		}
	} else {
		for range o.times {
			t, err := once(c, l, o)
			if err != nil {
				return err
			}
			r.Times = append(r.Times, float64(t.Microseconds())/1000)
			wanted++
		}
	}
	_, after, err := c.settled()
	if err != nil {
		return err
	}
	now, err := c.changes()
	r.Unwanted, r.Changes = int(after-before)-wanted, now-changes
	if n := len(r.Times); n > 0 {
		sorted := slices.Sorted(slices.Values(r.Times))
		r.Median, r.P95, r.Worst = sorted[n/2], sorted[min(n-1, n*95/100)], sorted[n-1]
	}
	return err
}

// once lets the leader fail, or hand over, and waits for the first write after.
func once(c *cluster, l *load, o options) (time.Duration, error) {
	lead, _, err := c.settled()
	if err != nil {
		return 0, err
	}
	if o.how == "switchover" {
		l.begin(-1)
		if err := c.switchover(lead); err != nil {
			return 0, err
		}
		time.Sleep(o.rest)
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.pause, nil
	}
	came := l.begin(lead)
	if err := c.strike(o.how, lead); err != nil {
		return 0, err
	}
	back := o.back > 0
	if back {
		time.Sleep(o.back)
		if err := c.mend(o.how, lead); err != nil {
			return 0, err
		}
	}
	if !within(came, faultWait) {
		return 0, fmt.Errorf("no write was acknowledged within %v of %s failing", faultWait, ids[lead])
	}
	l.mu.Lock()
	took := l.first
	l.mu.Unlock()
	if !back {
		if err := c.mend(o.how, lead); err != nil {
			return 0, err
		}
	}
	time.Sleep(o.rest)
	l.avoid.Store(-1)
	return took, nil
}

// switchover has the leader hand over to the first other node of the policy's order, which
// is the one in sync under first 1, or to the one after it.
func (c *cluster) switchover(lead int) error {
	var errs []error
	for i, id := range ids {
		if i == lead {
			continue
		}
		out, err := exec.Command(c.binary, "switchover", "--cluster", "failover", "-e", strings.Join(c.peers, ","), "--to", id).CombinedOutput()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("switchover: %w: %s", err, out))
	}
	return errors.Join(errs...)
}

// settled waits until a node leads.
func (c *cluster) settled() (lead int, term uint64, err error) {
	for end := time.Now().Add(startWait); time.Now().Before(end); time.Sleep(pollEvery) {
		if lead, term = c.leader(); lead >= 0 {
			return lead, term, nil
		}
	}
	return 0, 0, errors.New("no node leads")
}

func within(c <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}
