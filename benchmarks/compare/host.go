package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

// answer is what a host says: that it is up, or what it measured.
type answer struct {
	Cell  Cell
	Error string
}

// serveHost is the life of the process that holds one subject and its writers:
// it brings the subject up, says so, and then carries out one order after the
// other until standard input ends.
func serveHost(ctx context.Context, s Subject, dir string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &family{subject: s.Name()}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return s.Run(ctx, dir, f.spawn, func(open func() (Client, error)) {
			g.Go(func() error {
				defer cancel()
				return obey(open, instruments{newMeter(dir, f.pids), f.profile}, in, out)
			})
		})
	})
	err := g.Wait()
	return errors.Join(err, f.close())
}

// obey carries out orders. Its clients are opened once and kept, and keys that
// are to be read are put once.
func obey(open func() (Client, error), with instruments, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	if err := answers.Encode(answer{}); err != nil {
		return err
	}
	var clients []Client
	loaded := false
	for {
		var o order
		switch err := orders.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for len(clients) < o.Writers {
			c, err := open()
			if err != nil {
				return err
			}
			clients = append(clients, c)
		}
		var a answer
		var err error
		if o.Op == OpGet && !loaded {
			err = load(o, clients[:o.Writers])
			loaded = err == nil
		}
		if err == nil {
			a.Cell, err = measure(o, clients[:o.Writers], with)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// host is a serveHost in another process.
type host struct {
	child   *child
	name    string
	orders  *json.Encoder
	answers *json.Decoder
}

// startHost starts one and waits until its subject is up.
func startHost(name, dir string) (*host, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c, out, in, err := start(verbHost, name, dir)
	if err != nil {
		return nil, err
	}
	h := &host{child: c, name: name, orders: json.NewEncoder(in), answers: json.NewDecoder(out)}
	if _, err := h.answer(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// measure has it carry out an order.
func (h *host) measure(o order) (Cell, error) {
	if err := h.orders.Encode(o); err != nil {
		return Cell{}, err
	}
	c, err := h.answer()
	c.Subject = h.name
	return c, err
}

func (h *host) answer() (Cell, error) {
	var a answer
	if err := h.answers.Decode(&a); err != nil {
		return Cell{}, fmt.Errorf("%s: its process ended: %w", h.name, err)
	}
	if a.Error != "" {
		return Cell{}, fmt.Errorf("%s: %s", h.name, a.Error)
	}
	return a.Cell, nil
}

func (h *host) close() error { return h.child.close() }
