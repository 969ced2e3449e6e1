package ideal

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

// receiveBytesMax is the most a follower makes durable with one flush.
const receiveBytesMax = 4 << 20

// Follow makes durable in f what arrives on conn and answers each time with the
// position it has reached, until the leader closes the connection.
func Follow(conn net.Conn, f *File) error {
	buf := make([]byte, receiveBytesMax)
	var position uint64
	var answer [8]byte
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		if err := f.Append(buf[:n]); err != nil {
			return err
		}
		position += uint64(n)
		binary.LittleEndian.PutUint64(answer[:], position)
		if _, err := conn.Write(answer[:]); err != nil {
			return err
		}
	}
}
