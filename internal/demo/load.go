package demo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/internal/progress"
	"github.com/triad-kv/triad/topology"
)

// fitsLoad wants a table for the files.
func fitsLoad(c *config.Cluster) error {
	if !holds(c, tableFiles, "bytes") {
		return fmt.Errorf("it needs a table %s of bytes", tableFiles)
	}
	return nil
}

const (
	tableFiles  = "files"
	loadWriters = 64

	writeTimeout      = 30 * time.Second // of one file
	compareTimeout    = time.Minute      // of reading everything back, and
	compareSecondsPer = 1 << 20          // a second more for so many bytes
)

// loader writes every file as a row, and compares what the disk and each node hold.
type loader struct{ *demo }

func playLoad(ctx context.Context, d *demo) error {
	l, files := loader{d}, d.files
	d.printf("\n")
	d.title("load  %s, %s, from %s", count(len(files.files), "file", "files"), grid.Bytes(uint64(files.bytes)), files.root)
	var token topology.Token
	err := d.step(ctx, phaseTimeout, d.ready)
	if err == nil {
		err = d.step(ctx, 0, func(ctx context.Context) (err error) {
			token, err = l.write(ctx)
			return err
		})
	}
	if err == nil {
		limit := compareTimeout + time.Duration(files.bytes/compareSecondsPer)*time.Second
		err = d.step(ctx, limit, func(ctx context.Context) error { return l.compare(ctx, token) })
	}
	return err
}

// write writes all files through the leader and returns the token of the
// last of them.
func (l loader) write(ctx context.Context) (topology.Token, error) {
	files := l.files
	bar := progress.New(l.o.Err, l.o.Terminal, "files written", len(files.files))
	defer bar.Done()
	var next atomic.Int64
	var mu sync.Mutex // guards last
	var last topology.Token
	started := time.Now()
	g, within := errgroup.WithContext(ctx)
	for range min(loadWriters, len(files.files)) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files.files) {
					return nil
				}
				r, err := l.writeFile(within, files.files[i])
				if err != nil {
					return err
				}
				mu.Lock()
				if r.Token.LSN > last.LSN {
					last = r.Token
				}
				mu.Unlock()
				bar.Add(1)
			}
		})
	}
	if err := g.Wait(); err != nil {
		return last, err
	}
	bar.Done()
	took := time.Since(started)
	l.line("written by %d writers in %v: %.0f records/s, %.1f MB/s", min(loadWriters, len(files.files)), took.Round(time.Millisecond),
		float64(len(files.files))/took.Seconds(), float64(files.bytes)/1e6/took.Seconds())
	l.held("%s acknowledged, the last of them LSN %d", count(len(files.files), "record", "records"), last.LSN)
	return last, nil
}

func (l loader) writeFile(ctx context.Context, f file) (client.Receipt, error) {
	b, err := l.files.read(f)
	if err != nil {
		return client.Receipt{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return l.all.Put(ctx, tableFiles, []byte(f.key), b, client.IfAbsent())
}

// compare reads everything back, from the disk and from each node.
func (l loader) compare(ctx context.Context, token topology.Token) error {
	living := l.c.keepers()
	sums := make([]contents, 1+len(living))
	g, within := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		sums[0], err = l.files.contents()
		return err
	})
	for i, n := range living {
		g.Go(func() (err error) {
			if err := l.at[n.ID].Wait(within, token); err != nil {
				return fmt.Errorf("%s: %w", n.ID, err)
			}
			sums[1+i], err = l.contentsOf(within, n, token)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	rows := [][]string{sums[0].row("the disk")}
	for i, n := range living {
		rows = append(rows, sums[1+i].row(string(n.ID)))
	}
	l.table([]string{"where", "files", "bytes", "sha-256 of all paths and contents"}, rows)
	for i, n := range living {
		if sums[1+i] != sums[0] {
			return fmt.Errorf("%s does not hold what the disk holds", n.ID)
		}
	}
	l.held("the disk, the leader and %s hold the same bytes", count(len(living)-1, "follower", "followers"))
	return nil
}

// contents is what was found in one place.
type contents struct {
	files int
	bytes int64
	sum   string
}

func (c contents) row(where string) []string {
	return []string{where, fmt.Sprint(c.files), fmt.Sprint(c.bytes), c.sum}
}

// contentsOf reads all files from a node's own store.
func (l loader) contentsOf(ctx context.Context, n *node, token topology.Token) (contents, error) {
	var c contents
	sum := newDigest()
	for item, err := range l.at[n.ID].Scan(ctx, tableFiles, nil, nil, client.After(token)) {
		if err != nil {
			return c, fmt.Errorf("%s: %w", n.ID, err)
		}
		sum.field(item.Key)
		sum.field(item.Value)
		c.files++
		c.bytes += int64(len(item.Value))
	}
	c.sum = sum.String()
	return c, nil
}
