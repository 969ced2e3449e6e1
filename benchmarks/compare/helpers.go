package compare

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// FreeAddrs returns addresses of loopback that were free a moment ago, none twice: every
// process of a subject is to know those of all before it opens. Who finds one taken
// meanwhile says so.
func FreeAddrs(n int) (addrs []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// Repeat tries again, every so often, until there is no error or ctx ends. The error is
// then the last one, and that of ctx.
func Repeat(ctx context.Context, every time.Duration, try func() error) error {
	poll := time.NewTicker(every)
	defer poll.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Replicated spawns a primary and its replicas at so many addresses, each with a folder of
// its own in dir: a replica's arguments are its address, its folder, and the primary's
// address.
func (s Spawn) Replicated(dir string, addrs []string) error {
	for i, addr := range addrs {
		args := []string{addr, fmt.Sprintf("%s/%d", dir, i)}
		if i > 0 {
			args = append(args, addrs[0])
		}
		if _, err := s(args...); err != nil {
			return err
		}
	}
	return nil
}
