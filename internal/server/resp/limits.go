package resp

import "github.com/triad-kv/triad/record"

// Limits bound one command. Each is judged before anything is kept for it.
type Limits struct {
	ArgsMax         int // arguments, the command's name included
	BulkBytesMax    int // bytes of one argument
	CommandBytesMax int // bytes of one command as it travels
}

// LimitsDefault are the limits of a client that has shown who it is. A command
// of that length is more than a record can take.
var LimitsDefault = Limits{ArgsMax: 1 << 16, BulkBytesMax: record.ValueBytesMax, CommandBytesMax: record.BatchBytesMax + 1<<20}

// LimitsStranger are the limits of a client that has not: those of Redis.
var LimitsStranger = Limits{ArgsMax: 10, BulkBytesMax: 16 << 10, CommandBytesMax: 10 * (16<<10 + 32)}

const (
	// InlineBytesMax bounds a command that is a line of text.
	InlineBytesMax = 64 << 10
	// BufferBytesMin is the buffer of a connection that has sent little.
	BufferBytesMin = 4 << 10
	// BufferBytesKept is the most that a buffer keeps between commands; it
	// bounds what is read ahead of a pipeline.
	BufferBytesKept = 64 << 10
	// lengthBytesMax bounds the text of a length: a sign and 19 digits.
	lengthBytesMax = 20
)

// ProtocolError says how framing was lost, in the words of Redis.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return "Protocol error: " + e.Text }

var (
	errArgs         = &ProtocolError{"invalid multibulk length"}
	errArgsStranger = &ProtocolError{"unauthenticated multibulk length"}
	errBulk         = &ProtocolError{"invalid bulk length"}
	errBulkStranger = &ProtocolError{"unauthenticated bulk length"}
	errArgsText     = &ProtocolError{"too big mbulk count string"}
	errBulkText     = &ProtocolError{"too big bulk count string"}
	errInline       = &ProtocolError{"too big inline request"}
	errQuotes       = &ProtocolError{"unbalanced quotes in request"}
	errEnd          = &ProtocolError{"an argument is not followed by CR LF"}
	errCommand      = &ProtocolError{"too big command"}
	errMemory       = &ProtocolError{"out of memory for requests, try again later"}
)
