package transport

import "sync"

// group owns the goroutines and the open ends of a transport while it runs. It
// is safe for concurrent use.
type group struct {
	started chan struct{} // closed when Run begins
	ending  chan struct{} // closed when Run is about to return

	mu    sync.Mutex
	state groupState
	open  map[uint64]func()
	last  uint64
	wg    sync.WaitGroup
}

type groupState uint8

const (
	groupNew groupState = iota
	groupRunning
	groupOver
)

func newGroup() *group {
	return &group{started: make(chan struct{}), ending: make(chan struct{}), open: map[uint64]func(){}}
}

// start begins; false if it did before.
func (g *group) start() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != groupNew {
		return false
	}
	g.state = groupRunning
	close(g.started)
	return true
}

// spawn runs f on a goroutine that stop waits for; false if it is too late or
// too early.
func (g *group) spawn(f func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != groupRunning {
		return false
	}
	g.wg.Go(f)
	return true
}

// hold has stop call release, unless the returned function is called before;
// false, and release is called at once, if it is too late.
func (g *group) hold(release func()) (free func(), ok bool) {
	g.mu.Lock()
	if g.state != groupRunning {
		g.mu.Unlock()
		release()
		return func() {}, false
	}
	defer g.mu.Unlock()
	g.last++
	id := g.last
	g.open[id] = release
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.open, id)
	}, true
}

// stop refuses what is new, releases what is held and waits for all goroutines.
func (g *group) stop() {
	g.mu.Lock()
	g.state = groupOver
	open := g.open
	g.open = nil
	g.mu.Unlock()
	close(g.ending)
	for _, release := range open {
		release()
	}
	g.wg.Wait()
}
