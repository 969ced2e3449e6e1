package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Options say how a server treats its clients. The zero value works: no
// password, the table default for every key.
type Options struct {
	// Prefixes name the table of the keys that begin so; the longest wins, and
	// is cut off. All other keys are those of the table default.
	Prefixes map[string]string
	// Password is what AUTH and HELLO must bring. Empty: nobody is asked.
	Password string
	// Routing says what becomes of a command that only the leader may do.
	Routing Routing
	// Forward takes a message to [Server.Forwarded] of another node, and its answer
	// back, as [triad.Cells] does. Without it nothing is forwarded.
	Forward func(ctx context.Context, to topology.NodeID, msg []byte) ([]byte, error)
	// Addr returns the address of another node's RESP port, empty if it is not
	// known: to name the leader to clients. It is called by many goroutines.
	Addr func(topology.NodeID) string
	// Nodes are those that clients may be told of where they are redirected.
	Nodes []topology.NodeID
	// Wall is the time of day that expiries are counted from; nil is time.Now.
	Wall func() time.Time
	// Version is this program's, for INFO.
	Version string
	Limits  Limits
	Logger  *slog.Logger // nil: nothing is logged
}

// Limits bound what clients may take. A zero is the default; the limits of
// parsing are those of package resp.
type Limits struct {
	ConnectionsMax      int   // open at once: 10,000
	PipelineCommandsMax int   // commands that become one group: 1,024
	QueuedCommandsMax   int   // between MULTI and EXEC: 1,024
	QueuedBytesMax      int   // arguments between MULTI and EXEC: 16 MiB
	WatchedKeysMax      int   // of one connection: 1,024
	AnswerBytesMax      int   // one answer, and all answers of one group: 64 MiB
	BufferBytesMax      int64 // buffers of all connections, beyond the first 4 KiB of each: 1 GiB
	CursorsMax          int   // scans that are under way: 4,096
	CursorBytesMax      int   // keys that cursors stand at: 16 MiB
	ScanCountMax        int   // keys that one SCAN looks at: 10,000
	AuthFailuresMax     int   // of one connection, which is then closed: 8

	AuthTimeout    time.Duration // to show who one is, where a password is set, and for a TLS handshake: 10 s
	AuthDelay      time.Duration // before a wrong password is answered, doubled with each: 50 ms
	CommandTimeout time.Duration // from a command's first byte to its last: 30 s
	IdleTimeout    time.Duration // between commands; 0: for ever
	WriteTimeout   time.Duration // until a client has read what was sent: 30 s
	CallTimeout    time.Duration // until a write or read is answered, at least: 10 s
	DrainTimeout   time.Duration // for what is under way when the server ends: 5 s
	CursorTimeout  time.Duration // of a scan that is not continued: 10 min
}

func (l *Limits) complete() {
	set(&l.ConnectionsMax, 10_000)
	set(&l.PipelineCommandsMax, 1024)
	set(&l.QueuedCommandsMax, 1024)
	set(&l.QueuedBytesMax, 16<<20)
	set(&l.WatchedKeysMax, 1024)
	set(&l.AnswerBytesMax, 64<<20)
	set(&l.BufferBytesMax, 1<<30)
	set(&l.CursorsMax, 4096)
	set(&l.CursorBytesMax, 16<<20)
	set(&l.ScanCountMax, 10_000)
	set(&l.AuthFailuresMax, 8)
	set(&l.AuthTimeout, 10*time.Second)
	set(&l.AuthDelay, 50*time.Millisecond)
	set(&l.CommandTimeout, 30*time.Second)
	set(&l.WriteTimeout, 30*time.Second)
	set(&l.CallTimeout, 10*time.Second)
	set(&l.DrainTimeout, 5*time.Second)
	set(&l.CursorTimeout, 10*time.Minute)
}

func set[T int | int64 | time.Duration](v *T, standard T) {
	if *v == 0 {
		*v = standard
	}
}

func (o *Options) complete() {
	o.Limits.complete()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Addr == nil {
		o.Addr = func(topology.NodeID) string { return "" }
	}
}
