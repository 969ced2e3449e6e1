package compare

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	source "github.com/triad-kv/triad/internal/sim/load"
)

// Cell is one measurement: a subject, so many writers, one stretch of time.
type Cell struct {
	Subject      string  `json:"subject"`
	Round        int     `json:"round"`
	Writers      int     `json:"writers"`
	Value        int     `json:"value_bytes"`
	Seconds      float64 `json:"seconds"`
	Writes       int     `json:"writes"`
	PerSecond    float64 `json:"writes_per_second"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	Max          float64 `json:"max_us"`
	CPU          float64 `json:"cpu_us_per_write"`     // of the subject's processes, writers included
	Machine      float64 `json:"machine_us_per_write"` // of the whole machine
	Foreign      float64 `json:"foreign_cores"`        // used by others meanwhile
	Flushes      float64 `json:"flushes_per_write"`    // of the device's cache
	Written      float64 `json:"written_kib_per_write"`
	Measurements int     `json:"measurements"` // how many it took
}

// What a client does again and again.
const (
	OpPut = "put"
	OpGet = "get"
)

// order is what a host is told to measure.
type order struct {
	Op                          string // OpPut if empty
	Round, Writers, Keys, Value int
	Rate                        float64 // operations that are due a second, of all writers; 0: each asks again once it was answered
	Warm, Time                  time.Duration
	Quiet                       float64
	Seed                        uint64
	Profile                     string // a file for a CPU profile of the measured time, beside which those of children stand; none if empty
}

// phases of a cell, for its writers.
const (
	warming = iota
	measuring
	over
)

// keyBytes is the length of a key.
const keyBytes = 16

// keyspace is so many keys, one behind the other: made beforehand, so that a
// writer's own work costs next to nothing.
type keyspace []byte

func newKeyspace(n int) keyspace {
	ks := make(keyspace, 0, n*keyBytes)
	for i := range n {
		ks = fmt.Appendf(ks, "k%015d", i)
	}
	return ks
}

func (ks keyspace) draw(r *rand.Rand) []byte {
	return ks.at(r.IntN(len(ks) / keyBytes))
}

// at is key number i.
func (ks keyspace) at(i int) []byte {
	i *= keyBytes
	return ks[i : i+keyBytes : i+keyBytes]
}

// errReads is the answer of a subject that is asked for what it has not.
var errReads = errors.New("this subject reads nothing: leave it out of -subjects")

// load puts every key, with what each client does of it.
func load(o order, clients []Client) error {
	keys := newKeyspace(o.Keys)
	value := newValue(o, 0)
	var g errgroup.Group
	for i, c := range clients {
		g.Go(func() error {
			if c.Get == nil {
				return errReads
			}
			for k := i; k < o.Keys; k += len(clients) {
				if err := c.Put(keys.at(k), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// instruments are what a cell is measured with beyond its clients.
type instruments struct {
	meter   meter
	profile func(path string) (end func() error, err error) // of the children; nil: there are none
}

// measure carries out an order, again while others disturb it.
func measure(o order, clients []Client, with instruments) (Cell, error) {
	var best Cell
	for try := 1; try <= 1+RetriesMax; try++ {
		c, err := measureOnce(o, clients, with)
		if err != nil {
			return c, err
		}
		if try == 1 || c.Foreign < best.Foreign {
			best = c
		}
		best.Measurements = try
		if o.Quiet == 0 || best.Foreign <= o.Quiet {
			break
		}
	}
	return best, nil
}

// measureOnce runs the loop of writers, warms up and measures.
func measureOnce(o order, clients []Client, with instruments) (Cell, error) {
	var phase atomic.Int32
	var wg sync.WaitGroup
	drivers := make([]*driver, len(clients))
	keys := newKeyspace(o.Keys)
	first := make(chan struct{}, 1)
	for i, c := range clients {
		drivers[i] = newDriver(o, uint64(i), keys, c, &phase, first)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	loop := source.Loop{Workers: len(clients), Rate: o.Rate}
	wg.Go(func() { loop.Run(ctx, func(i int) source.Step { return drivers[i].step }) })
	time.Sleep(o.Warm)
	profiled, profileErr := with.profiles(o.Profile)
	before, started := with.meter(), time.Now()
	phase.Store(measuring)
	time.Sleep(o.Time)
	select { // a cell without an operation says nothing
	case <-first:
	case <-time.After(emptyMax):
	}
	phase.Store(over)
	took, after := time.Since(started), with.meter()
	stop()
	wg.Wait()
	errs := []error{profileErr, profiled()}
	var samples source.Latencies
	for _, d := range drivers {
		errs = append(errs, d.err)
		samples.Merge(&d.samples)
	}
	if err := errors.Join(errs...); err != nil {
		return Cell{}, err
	}
	c := Cell{Round: o.Round, Writers: o.Writers, Value: o.Value, Seconds: took.Seconds()}
	c.latencies(&samples)
	c.costs(after.minus(before))
	return c, nil
}

// profiles begins the CPU profiles of this process and its children.
func (with instruments) profiles(path string) (end func() error, err error) {
	here, err := profile(path)
	if err != nil || with.profile == nil {
		return here, err
	}
	there, err := with.profile(path)
	return func() error { return errors.Join(here(), there()) }, err
}

// profileExt is how the name of a profile ends.
const profileExt = ".pprof"

// profile begins a CPU profile and returns what ends it.
func profile(path string) (end func() error, err error) {
	nothing := func() error { return nil }
	if path == "" {
		return nothing, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nothing, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return f.Close, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// newValue draws a value.
func newValue(o order, client uint64) []byte {
	draw := rand.New(rand.NewPCG(o.Seed, client))
	value := make([]byte, o.Value)
	for i := range value {
		value[i] = 'a' + byte(draw.IntN(26))
	}
	return value
}

// emptyMax is how much longer a cell is measured if nothing has been answered by
// then.
const emptyMax = 30 * time.Second

// driver is one client. It keeps how long each operation took that began and ended
// while it was measured, from when it was due, and tells of the first or of its
// failure.
type driver struct {
	do      func(key []byte) error
	keys    keyspace
	draw    *rand.Rand
	phase   *atomic.Int32
	first   chan<- struct{}
	samples source.Latencies
	err     error
}

func newDriver(o order, client uint64, keys keyspace, c Client, phase *atomic.Int32, first chan<- struct{}) *driver {
	value := newValue(o, client)
	d := &driver{keys: keys, draw: rand.New(rand.NewPCG(o.Seed+uint64(o.Round), client)), phase: phase, first: first}
	d.do = func(key []byte) error { return c.Put(key, value) }
	if o.Op == OpGet {
		d.do = c.Get
	}
	return d
}

// step is [source.Step].
func (d *driver) step(due time.Time) (rest time.Duration, more bool) {
	p := d.phase.Load()
	if p == over {
		return 0, false
	}
	if d.err = d.do(d.keys.draw(d.draw)); d.err != nil {
		d.phase.Store(over)
		d.tell()
		return 0, false
	}
	if p == measuring && d.phase.Load() == measuring {
		if d.samples.Add(time.Since(due)); d.samples.Len() == 1 {
			d.tell()
		}
	}
	return 0, true
}

func (d *driver) tell() {
	select {
	case d.first <- struct{}{}:
	default:
	}
}

// latencies fills in what the samples say.
func (c *Cell) latencies(all *source.Latencies) {
	c.Writes = all.Len()
	c.PerSecond = float64(c.Writes) / c.Seconds
	at := func(q float64) float64 { return float64(all.At(q)) / 1e3 }
	c.P50, c.P99, c.Max = at(0.50), at(0.99), at(1)
}

// costs fills in what the counters say.
func (c *Cell) costs(d reading) {
	c.Foreign = max(0, d.machine-d.own) / c.Seconds
	if c.Writes == 0 {
		return
	}
	n := float64(c.Writes)
	c.CPU, c.Machine = d.own*1e6/n, d.machine*1e6/n
	c.Flushes, c.Written = d.flushes/n, d.writtenKiB/n
}
