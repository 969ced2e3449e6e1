package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/config"
)

// How long a server may take to end. What is not done by then is cut off.
const (
	drainWait = 4 * time.Second // for the requests of clients
	endWait   = 9 * time.Second // for all
)

// service is a node that runs from a file, with its ports.
type service struct {
	config  *config.Node
	secrets config.Secrets
	level   *slog.LevelVar
	log     *slog.Logger
	reread  func() (*config.Node, error)
	offset  time.Duration // of the wall clock, for tests

	node  *triad.Node
	ports []port
	admin *admin.Admin // nil: nobody asks
}

// port is a port that is bound, and what answers on it.
type port struct {
	key  string
	l    net.Listener
	open func(*service) (door, error)
	door door
}

func newService(n *config.Node, logs io.Writer) *service {
	v := &service{config: n, level: new(slog.LevelVar)}
	v.setLevel(n.Log.Level)
	o := &slog.HandlerOptions{Level: v.level}
	h := slog.Handler(slog.NewTextHandler(logs, o))
	if n.Log.Format == "json" {
		h = slog.NewJSONHandler(logs, o)
	}
	v.log = slog.New(h).With("node", n.Self.ID)
	return v
}

func (v *service) setLevel(name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) == nil { // the configuration was checked
		v.level.Set(l)
	}
}

// run opens the node and its ports and works until ctx ends.
func (v *service) run(ctx context.Context, hup <-chan os.Signal) error {
	for _, w := range v.config.Warnings() {
		v.log.Warn(w.Why, "key", w.Path, "at", w.At.String())
	}
	if err := v.open(); err != nil {
		return errors.Join(err, v.close())
	}
	v.log.Info("open", "cluster", v.config.Cluster, "dir", v.config.Self.Dir, "ports", v.listening())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(v.serve(ctx, hup), v.close()) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	v.log.Info("ending")
	late := time.NewTimer(endWait)
	defer late.Stop()
	select {
	case err := <-ended:
		v.log.Info("ended")
		return err
	case <-late.C:
		return fmt.Errorf("node %s did not end in order within %v and is cut off; what it acknowledged as flushed is on its disk", v.config.Self.ID, endWait)
	}
}

// open binds every port before it opens the node, so that a port in use is found
// out before any file is touched.
func (v *service) open() (err error) {
	c, err := v.config.Open()
	if err != nil {
		return err
	}
	c.Logger = v.log
	if v.offset != 0 {
		v.log.Warn("this node's clock is wrong, on purpose", "offset", v.offset)
		c.WallClock = v.wall
	}
	if v.secrets, err = v.config.Secrets(); err != nil {
		return err
	}
	if err := secure(&c, v.config, v.log); err != nil {
		return err
	}
	if err := gather(&c, v.config, v.secrets); err != nil {
		return err
	}
	for _, d := range doorways {
		l, err := bind(d.key, d.addr(v.config.Listen))
		if err != nil {
			return err
		}
		if l != nil {
			v.ports = append(v.ports, port{key: d.key, l: l, open: d.open})
		}
	}
	if c.Listener, err = bind("listen.peers", c.Listen); err != nil {
		return err
	}
	if v.node, err = triad.Open(c); err != nil {
		return errors.Join(err, closeOf(c.Listener)) // it may have closed it already
	}
	for i := range v.ports {
		p := &v.ports[i]
		p.l = behind(v.node, p.l)
		if p.door, err = p.open(v); err != nil {
			return err
		}
		if a, ok := p.door.(*admin.Admin); ok {
			v.admin = a
		}
	}
	return nil
}

// wall is what this node takes for the time of day.
func (v *service) wall() time.Time { return time.Now().Add(v.offset) }

// bind listens at an address of the configuration; nil if it names none.
func bind(key, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

func closeOf(l net.Listener) error {
	if l == nil {
		return nil
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// close releases what open took.
func (v *service) close() error {
	var errs []error
	if v.node != nil {
		errs = append(errs, v.node.Close())
	}
	for _, p := range v.ports {
		errs = append(errs, closeOf(p.l))
	}
	return errors.Join(errs...)
}

// listening is what listens where, for the log.
func (v *service) listening() string {
	var all []string
	if a := v.node.Addr(); a != nil {
		all = append(all, "peers "+a.String())
	}
	for _, p := range v.ports {
		all = append(all, strings.TrimPrefix(p.key, "listen.")+" "+p.l.Addr().String())
	}
	return strings.Join(all, ", ")
}

// serve works until ctx ends or a part fails. Then the ports for clients end
// first, next the node, and last the port that says how the node is.
func (v *service) serve(ctx context.Context, hup <-chan os.Signal) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ps := parts{fail: end}
	var asked, clients []func(time.Duration)
	for _, p := range v.ports {
		stop := ps.start(p.key, func(ctx context.Context) error { return p.door.Serve(ctx, p.l) })
		if p.key == adminKey {
			asked = append(asked, stop)
		} else {
			clients = append(clients, stop)
		}
	}
	stopNode := ps.start("node", v.node.Run)
	v.watch(ctx, hup)
	if v.admin != nil {
		v.admin.Drain()
	}
	v.node.Operator().HandOver(context.Background()) // clients are told who leads, while they are connected
	for _, stop := range clients {
		stop(drainWait)
	}
	stopNode(endWait)
	for _, stop := range asked {
		stop(endWait)
	}
	return ps.err()
}

// parts are what a service runs. The first that ends by itself ends all.
type parts struct {
	fail func()

	mu   sync.Mutex // guards what follows; a leaf
	errs []error
}

// start runs work with a context of its own. What it returns ends that and
// waits for the work, as long as it may take.
func (ps *parts) start(name string, work func(context.Context) error) (stop func(time.Duration)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := work(ctx)
		if err == nil && ctx.Err() == nil {
			err = errors.New("it ended by itself")
		}
		if err != nil {
			ps.failed(fmt.Errorf("%s: %w", name, err))
		}
	}()
	return func(wait time.Duration) {
		cancel()
		late := time.NewTimer(wait)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
			ps.failed(fmt.Errorf("%s did not end within %v", name, wait))
		}
	}
}

func (ps *parts) failed(err error) {
	ps.mu.Lock()
	ps.errs = append(ps.errs, err)
	ps.mu.Unlock()
	ps.fail()
}

func (ps *parts) err() error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return errors.Join(ps.errs...)
}
