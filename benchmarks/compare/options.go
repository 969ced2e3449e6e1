package compare

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RetriesMax is how often a disturbed cell is measured again.
const RetriesMax = 2

// Limits of what may be asked for.
const (
	writersMax = 4096
	valueMax   = 1 << 20
)

// Options say what to measure.
type Options struct {
	Op       string // OpPut or OpGet
	Subjects []string
	Writers  []int
	KeyCount int           // keys are drawn uniformly from so many, 16 B each
	Value    int           // bytes
	Warm     time.Duration // before each cell
	Time     time.Duration // of each cell
	Rounds   int
	Rate     float64 // operations that are due a second, of all writers together; 0: each asks again once it was answered
	Dir      string  // for all files; a folder of the system's for temporary ones if empty
	JSON     string  // a file for all figures, if any
	Profile  string  // a folder for CPU profiles of every cell's processes, if any
	Quiet    float64 // cores that other programs may use before a cell counts as disturbed; 0: any
	Seed     uint64  // of the order of keys

	Scaled bool // also figures from elsewhere, by the ideal log of this run

	promises map[string]string // by subject
	leftOut  []string          // subjects, and why
}

// parse reads the command line.
func parse(args []string, known []string, out io.Writer) (Options, error) {
	var o Options
	var subjects, writers string
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&subjects, "subjects", strings.Join(known, ","), "what to measure, in order; ratios are to the first")
	fs.StringVar(&o.Op, "op", OpPut, "what clients do: put, or get of keys that were put before")
	fs.StringVar(&writers, "writers", "1,16,64,256", "numbers of writers")
	fs.IntVar(&o.KeyCount, "keys", 100_000, "number of keys, of 16 B, drawn uniformly")
	fs.IntVar(&o.Value, "value", 128, "bytes of a value")
	fs.DurationVar(&o.Warm, "warm", 500*time.Millisecond, "warm-up of a cell")
	fs.DurationVar(&o.Time, "time", 2500*time.Millisecond, "measured time of a cell")
	fs.Float64Var(&o.Rate, "rate", 0, "operations that are due a second in an open loop, times counting from when one was due (0: every writer asks again once it was answered)")
	fs.IntVar(&o.Rounds, "rounds", 3, "rounds")
	fs.StringVar(&o.Dir, "dir", "", "where files go; emptied subfolders are made in it (default: a temporary folder)")
	fs.StringVar(&o.JSON, "json", "", "write every figure to this file")
	fs.StringVar(&o.Profile, "profile", "", "write a CPU profile of every cell's processes to this folder, a file each, but of other people's programs")
	fs.Float64Var(&o.Quiet, "quiet", 0.4, "measure a cell again while other programs use more cores than this (0: never)")
	fs.BoolVar(&o.Scaled, "scaled", false, "add what others reached elsewhere, scaled by the ideal log of this run")
	fs.Uint64Var(&o.Seed, "seed", 1, "of the order of keys")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	o.Subjects = strings.Split(subjects, ",")
	for _, w := range strings.Split(writers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(w))
		if err != nil || n < 1 || n > writersMax {
			return o, fmt.Errorf("-writers %s: want numbers from 1 to %d", writers, writersMax)
		}
		o.Writers = append(o.Writers, n)
	}
	return o, o.check(known)
}

func (o Options) check(known []string) error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(o.Op == OpPut || o.Op == OpGet, "-op %q: want %s or %s", o.Op, OpPut, OpGet)
	seen := map[string]bool{}
	for _, s := range o.Subjects {
		found := false
		for _, k := range known {
			found = found || s == k
		}
		require(found, "no subject %q: there are %s", s, strings.Join(known, ", "))
		require(!seen[s], "subject %s twice", s)
		seen[s] = true
	}
	require(o.KeyCount > 0, "-keys %d: want one at least", o.KeyCount)
	require(o.Value >= 0 && o.Value <= valueMax, "-value %d: want 0 to %d", o.Value, valueMax)
	require(o.Warm >= 0 && o.Time > 0, "-warm and -time: want a time")
	require(o.Rate >= 0, "-rate %v: want no less than 0", o.Rate)
	require(o.Rounds > 0, "-rounds %d: want one at least", o.Rounds)
	require(o.Quiet >= 0, "-quiet %v: want no less than 0", o.Quiet)
	return errors.Join(errs...)
}

// profileOf names the profile of a cell.
func (o Options) profileOf(subject string, writers, round int) string {
	if o.Profile == "" {
		return ""
	}
	return filepath.Join(o.Profile, fmt.Sprintf("%s-%d-%d%s", subject, writers, round, profileExt))
}

// one, many and clients are what operations and those who do them are called.
func (o Options) one() string {
	if o.Op == OpGet {
		return "read"
	}
	return "write"
}

func (o Options) many() string { return o.one() + "s" }

func (o Options) clients() string {
	if o.Op == OpGet {
		return "readers"
	}
	return "writers"
}
