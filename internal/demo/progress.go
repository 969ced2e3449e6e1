package demo

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progressEvery is the pause between two lines where there is no terminal.
const progressEvery = 3 * time.Second

// progress tells how far a long piece of work has come: by a bar on a terminal,
// else by a line every few seconds.
type progress struct {
	bar       *mpb.Bar
	container *mpb.Progress

	mu    sync.Mutex // guards what follows; a leaf
	w     io.Writer
	what  string
	n     int
	total int
	told  time.Time
}

func newProgress(w io.Writer, terminal bool, what string, total int) *progress {
	p := &progress{w: w, what: what, total: total, told: time.Now()}
	if terminal {
		p.container = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
		p.bar = p.container.AddBar(int64(total), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(indent+what+" "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.Percentage(), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO)))
	}
	return p
}

// add tells that n more are done.
func (p *progress) add(n int) {
	if p.bar != nil {
		p.bar.IncrBy(n)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	if now := time.Now(); now.Sub(p.told) >= progressEvery {
		p.told = now
		_, _ = fmt.Fprintf(p.w, "%s%s: %d of %d\n", indent, p.what, p.n, p.total) // progress is nobody's proof
	}
}

// done takes the bar away. It may be called again.
func (p *progress) done() {
	if p.container == nil {
		return
	}
	p.bar.Abort(true) // nothing where it is complete
	p.container.Wait()
}
