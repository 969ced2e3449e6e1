package link

import (
	"context"
	"errors"
	"net"
)

// Dialer is what one place dials through: the link that leads to each address.
// An address without one is near. It is filled before it is used.
type Dialer struct {
	Links map[string]*Link
	// Below makes connections; default TCP.
	Below func(ctx context.Context, addr string) (net.Conn, error)
}

// Dial connects to addr.
func (d *Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	below := d.Below
	if below == nil {
		below = func(ctx context.Context, addr string) (net.Conn, error) {
			var t net.Dialer
			return t.DialContext(ctx, "tcp", addr)
		}
	}
	l := d.Links[addr]
	if l == nil {
		return below(ctx, addr)
	}
	return l.Dial(ctx, func(ctx context.Context) (net.Conn, error) { return below(ctx, addr) })
}

// Drain returns once all that was written to connections that are closed has been
// delivered or given up, or ctx has ended.
func (d *Dialer) Drain(ctx context.Context) error {
	var errs []error
	for _, l := range d.Links {
		errs = append(errs, l.Drain(ctx))
	}
	return errors.Join(errs...)
}
