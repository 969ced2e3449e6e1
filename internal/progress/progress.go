// Package progress tells how far a long piece of work has come, to whoever waits for it.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Every is the pause between two lines where there is no terminal.
const Every = 3 * time.Second

// Bar is one piece of work: a bar on a terminal, with the time that is left, else a line
// every few seconds. It may be used from any goroutine.
type Bar struct {
	bar       *mpb.Bar
	container *mpb.Progress

	mu    sync.Mutex // guards what follows; a leaf
	w     io.Writer
	what  string
	n     int
	total int
	told  time.Time
	began time.Time
}

// indent is in front of every line.
const indent = "  "

// New begins a piece of work of so many parts.
func New(w io.Writer, terminal bool, what string, total int) *Bar {
	p := &Bar{w: w, what: what, total: total, told: time.Now(), began: time.Now()}
	if terminal {
		p.container = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
		p.bar = p.container.AddBar(int64(total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(indent+what+" "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
}

// Add tells that n more are done.
func (p *Bar) Add(n int) {
	if p.bar != nil {
		p.bar.IncrBy(n)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	if now := time.Now(); now.Sub(p.told) >= Every {
		p.told = now
		left := time.Duration(float64(now.Sub(p.began)) / float64(p.n) * float64(p.total-p.n))
		_, _ = fmt.Fprintf(p.w, "%s%s: %d of %d, about %v left\n", indent, p.what, p.n, p.total, left.Round(time.Second)) // progress is nobody's proof
	}
}

// Done takes the bar away. It may be called again.
func (p *Bar) Done() {
	if p.container == nil {
		return
	}
	p.bar.Abort(true) // nothing where it is complete
	p.container.Wait()
}
