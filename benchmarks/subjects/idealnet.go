package subjects

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// IdealNet is the yardstick behind a port: its leader is a process of its own,
// and each writer has a connection to it. A write is
//
//	┌────────────┬────────────┬─────┬───────┐
//	│ length u32 │ key length │ key │ value │   little-endian, length of all behind it
//	│            │    u32     │     │       │
//	└────────────┴────────────┴─────┴───────┘
//
// and its answer one byte.
type IdealNet struct {
	Ideal
}

// Name implements [compare.Subject].
func (IdealNet) Name() string { return "ideal-net" }

// The first argument of a child that is to lead.
const roleLeader = "leader"

// Run implements [compare.Subject].
func (s IdealNet) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	leader := []string{roleLeader, filepath.Join(dir, "leader"), strconv.FormatInt(s.fileBytes(), 10)}
	for i := range followers {
		addr, err := spawn(s.follower(dir, i)...)
		if err != nil {
			return err
		}
		leader = append(leader, addr)
	}
	addr, err := spawn(leader...)
	if err != nil {
		return err
	}
	ready(func() (compare.Client, error) {
		conn, err := dial(ctx, addr)
		if err != nil {
			return compare.Client{}, err
		}
		return compare.Client{Put: idealPut(conn)}, nil
	})
	<-ctx.Done()
	return nil
}

// dial opens a connection that is closed when ctx ends.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	return conn, err
}

const headBytes = 8 // of a frame: both lengths

func idealPut(conn net.Conn) compare.Put {
	var frame []byte
	var answer [1]byte
	return func(key, value []byte) error {
		frame = binary.LittleEndian.AppendUint32(frame[:0], uint32(4+len(key)+len(value)))
		frame = binary.LittleEndian.AppendUint32(frame, uint32(len(key)))
		frame = append(append(frame, key...), value...)
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		_, err := conn.Read(answer[:])
		return err
	}
}

// Child implements [compare.Subject]: a follower, or the leader with its port.
func (s IdealNet) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) == 0 || args[0] != roleLeader {
		return s.Ideal.Child(ctx, args, up)
	}
	if len(args) != 3+followers {
		return fmt.Errorf("a leader needs the path and the size of its file and two followers, not %q", args)
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	leader, end, err := lead(args[1], size, args[3:])
	if err != nil {
		return err
	}
	defer end()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	g.Go(func() error { return leader.Run(ctx) })
	up(ln.Addr().String())
	g.Go(func() error {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return whenOver(ctx, err)
			}
			g.Go(func() error {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				return whenOver(ctx, serveIdeal(conn, leader.Writer().Put))
			})
		}
	})
	return g.Wait()
}

// whenOver is err, unless it comes of the end.
func whenOver(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// frameBytesMax is the longest frame that the port takes.
const frameBytesMax = 2 << 20

// serveIdeal answers one writer.
func serveIdeal(conn net.Conn, put compare.Put) error {
	in := bufio.NewReader(conn)
	frame := make([]byte, headBytes)
	for {
		if _, err := io.ReadFull(in, frame[:headBytes]); err != nil {
			return err
		}
		n, key := int(binary.LittleEndian.Uint32(frame)), int(binary.LittleEndian.Uint32(frame[4:]))
		if n > frameBytesMax || key > n-4 {
			return fmt.Errorf("a frame of %d bytes with a key of %d", n, key)
		}
		if cap(frame) < 4+n {
			frame = append(make([]byte, 0, 4+n), frame...)
		}
		frame = frame[:4+n]
		if _, err := io.ReadFull(in, frame[headBytes:]); err != nil {
			return err
		}
		if err := put(frame[headBytes:headBytes+key], frame[headBytes+key:]); err != nil {
			return err
		}
		if _, err := conn.Write(frame[:1]); err != nil {
			return err
		}
	}
}
