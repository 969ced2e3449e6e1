//go:build linux

// Command soak breaks three real `triad server` processes for a while, and fails
// if a promise does not hold. See package nemesis.
//
//	go run ./internal/nemesis/soak                      # every fault once
//	go run ./internal/nemesis/soak -duration 30m        # faults at random
//	go run ./internal/nemesis/soak -faults wipe,amnesia -seed 7
//
// The exit code is 1 if a promise is broken or the run could not go on, 2 if it
// was called wrongly.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/triad-kv/triad/internal/nemesis"
)

func main() { os.Exit(run()) }

func run() int {
	o := nemesis.Options{Out: os.Stdout, Command: "go run ./internal/nemesis/soak"}
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()%1_000_000), "of everything that is drawn")
	flag.DurationVar(&o.Duration, "duration", 0, "faults are drawn for so long; 0: each once")
	names := flag.String("faults", "", "which faults, with commas; all: "+strings.Join(nemesis.Faults(), ","))
	flag.IntVar(&o.Rate, "rate", 0, "operations a second; 0: the default")
	flag.StringVar(&o.Binary, "binary", "", "triad; default: it is built")
	flag.StringVar(&o.Dir, "dir", "", "where the run's directory is made; default: among temporary files")
	flag.BoolVar(&o.Plain, "plain", false, "loopback and directories, even where namespaces and file systems could be had")
	flag.BoolVar(&o.Elect, "elect", false, "the nodes find out themselves who leads (control raft)")
	flag.BoolVar(&o.Keep, "keep", false, "keep the run's directory, also where nothing is wrong")
	flag.Parse()
	if *names != "" {
		o.Faults = strings.Split(*names, ",")
	}
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "soak: it takes no argument, and %q was given\n", flag.Arg(0))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("seed %d\n", o.Seed)
	report, err := nemesis.Run(ctx, o)
	if report != nil {
		report.Print(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	fmt.Println("every promise held")
	return 0
}
