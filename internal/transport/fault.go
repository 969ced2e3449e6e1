package transport

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/triad-kv/triad/topology"
)

// Fault is a kind of reason for which a connection is closed or not taken. Each
// is counted apart (Stats.Faults).
type Fault uint8

const (
	FaultMagic       Fault = iota // begins with something else than the preamble
	FaultHTTP                     // begins like a request of HTTP
	FaultTLS                      // TLS where none is spoken, or of another version or protocol
	FaultRESP                     // begins like a command of Redis
	FaultPreamble                 // a preamble of a version or with a flag that is not known
	FaultHello                    // a hello that cannot be read
	FaultHandshake                // did not say who it is in time
	FaultLength                   // a frame that is too short or too long
	FaultSum                      // a frame whose sum is wrong
	FaultKind                     // a frame of a kind that is unknown, or has no business here
	FaultFlags                    // a frame with flags that are not known
	FaultCompressed               // a compressed frame where none may be, or one that cannot be read
	FaultPayload                  // a payload that cannot be read
	FaultDuplicate                // a request id that was used before
	FaultTruncated                // ended within a frame
	FaultSilence                  // nothing came within the read time-out
	FaultStuck                    // nothing could be written within the write time-out
	FaultMemory                   // no room for its request within the read time-out
	FaultConns                    // more connections than ConnsMax
	FaultConnsPerIP               // more connections than ConnsPerIPMax
	FaultHandshakes               // more connections than HandshakesMax that have not said who they are
	FaultAccept                   // the listener could not take a connection
	FaultPlain                    // a hello without TLS where TLS is spoken
	FaultCertificate              // a certificate was refused, by either side
	FaultAge                      // the connection has reached its greatest age; no fault of anybody
	faultEnd
)

func (f Fault) String() string {
	return [...]string{
		"magic", "http", "tls", "resp", "preamble", "hello", "handshake", "length", "sum", "kind", "flags", "compressed",
		"payload", "duplicate", "truncated", "silence", "stuck", "memory", "conns", "conns-per-ip", "handshakes", "accept",
		"plain", "certificate", "age", "unknown",
	}[min(f, faultEnd)]
}

// sentinel is what errors.Is finds in an error of that kind.
func (f Fault) sentinel() error {
	switch f {
	case FaultHandshake, FaultSilence, FaultStuck:
		return topology.ErrTimeout
	case FaultMemory, FaultConns, FaultConnsPerIP, FaultHandshakes:
		return topology.ErrOverloaded
	case FaultTruncated, FaultAccept, FaultAge:
		return topology.ErrUnavailable
	case FaultCertificate:
		return topology.ErrDenied
	case FaultCompressed, FaultPreamble, FaultPlain:
		return topology.ErrUnsupported
	}
	return topology.ErrMalformed
}

// FaultError is a fault of one connection. It wraps a sentinel of topology.
type FaultError struct {
	Fault Fault
	Text  string
}

func (e *FaultError) Error() string { return e.Text }
func (e *FaultError) Unwrap() error { return e.Fault.sentinel() }

func faultf(f Fault, format string, args ...any) error {
	return &FaultError{Fault: f, Text: fmt.Sprintf(format, args...)}
}

// readFault names what a failed read of the next frame means; whole says that
// it failed between two frames.
func readFault(err error, whole bool) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return faultf(FaultSilence, "nothing came within the read time-out")
	case errors.Is(err, io.EOF) && !whole, errors.Is(err, io.ErrUnexpectedEOF):
		return faultf(FaultTruncated, "the connection ended within a frame")
	}
	return err
}

// writeFault names what a failed write means.
func writeFault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return faultf(FaultStuck, "nothing could be written within the write time-out")
	}
	return err
}

// lost is the ground of an operation whose connection ended for cause: a
// sentinel, and the cause.
func lost(cause error) error {
	var f *FaultError
	var e *topology.Error
	switch {
	case cause == nil || errors.Is(cause, io.EOF):
		return fmt.Errorf("the other side closed the connection: %w", topology.ErrUnavailable)
	case errors.As(cause, &f), errors.As(cause, &e), errors.Is(cause, topology.ErrClosed), errors.Is(cause, topology.ErrUnavailable):
		return cause
	}
	return fmt.Errorf("%w: %w", topology.ErrUnavailable, cause)
}
