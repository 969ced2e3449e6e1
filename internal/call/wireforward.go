package call

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MethodForward has the leader do commands of another node's client: what they are
// is between the two ends. Forward → Forwarded, at the port for Redis clients.
const MethodForward = "node.forward"

// Limits of one Forward.
const (
	ForwardCommandsMax = 1 << 10 // commands, and those of one transaction
	forwardArgsMax     = 1 << 16 // of one command
	forwardProtoMax    = 3
	forwardPlaceFields = 5
)

// Forward is what a client of a node that does not lead asks for, with what it has
// chosen for its connection: fields proto, durability, guarantee, stale, token,
// commands.
type Forward struct {
	Proto      int // in which it is answered
	Durability topology.Durability
	Reads      topology.ReadOptions // guarantee and MaxStale alone
	Token      topology.Token       // what the client has seen
	Commands   []Command
}

// Command is one command, or a transaction: fields atomic, queue, watched.
type Command struct {
	Atomic  bool       // a transaction, which may be empty; else there is one in Queue
	Queue   [][][]byte // each the arguments of one, its name first
	Watched []Place
}

// Place is a key that a client has looked at: fields table, key, dot.
type Place struct {
	Table record.TableID
	Key   []byte
	Dot   version.Dot // zero: it was not there
}

// Encode returns the request's bytes.
func (m *Forward) Encode() []byte {
	w := begin(6)
	w.Uint(uint64(m.Proto))
	w.Uint(uint64(m.Durability))
	w.Uint(uint64(m.Reads.Guarantee))
	w.Uint(uint64(m.Reads.MaxStale))
	w.Str(m.Token.String())
	w.Array(3 * len(m.Commands))
	for i := range m.Commands {
		c := &m.Commands[i]
		w.Bool(c.Atomic)
		w.Array(len(c.Queue))
		for _, args := range c.Queue {
			w.Array(len(args))
			for _, a := range args {
				w.Bin(a)
			}
		}
		w.Array(forwardPlaceFields * len(c.Watched))
		for _, p := range c.Watched {
			w.Uint(uint64(p.Table))
			w.Bin(p.Key)
			putDot(w, p.Dot)
		}
	}
	return w.Bytes()
}

// DecodeForward reads a request. Its slices alias b.
func DecodeForward(b []byte) (Forward, error) {
	r, err := open(b, 6)
	if err != nil {
		return Forward{}, err
	}
	m := Forward{Proto: int(r.UintMax(forwardProtoMax)), Durability: topology.Durability(r.UintMax(uint64(topology.Applied)))}
	m.Reads.Guarantee = topology.Guarantee(r.UintMax(uint64(topology.ReadLinearizable)))
	m.Reads.MaxStale = time.Duration(r.UintMax(1<<63 - 1))
	m.Token = getToken(&r)
	n := r.ArrayMax(3 * ForwardCommandsMax)
	if n%3 != 0 {
		r.Fail("commands are not whole")
	}
	for n /= 3; n > 0 && r.Err() == nil; n-- {
		m.Commands = append(m.Commands, getCommand(&r))
	}
	return m, done(&r)
}

func getCommand(r *pack.Reader) Command {
	c := Command{Atomic: r.Bool()}
	n := r.ArrayMax(ForwardCommandsMax)
	if !c.Atomic && n != 1 {
		r.Fail("one command that is none or several")
	}
	for ; n > 0 && r.Err() == nil; n-- {
		var args [][]byte
		for k := r.ArrayMax(forwardArgsMax); k > 0 && r.Err() == nil; k-- {
			args = append(args, notNil(r.BinMax(record.ValueBytesMax)))
		}
		if len(args) == 0 {
			r.Fail("a command without a name")
		}
		c.Queue = append(c.Queue, args)
	}
	n = r.ArrayMax(forwardPlaceFields * ForwardCommandsMax)
	if n%forwardPlaceFields != 0 || n > 0 && !c.Atomic {
		r.Fail("places are not whole, or are not of a transaction")
	}
	for n /= forwardPlaceFields; n > 0 && r.Err() == nil; n-- {
		c.Watched = append(c.Watched, Place{
			Table: record.TableID(r.UintMax(1<<32 - 1)), Key: r.BinMax(record.KeyBytesMax), Dot: getDot(r),
		})
	}
	return c
}

// notNil is b, which is not nil where it is empty.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Forwarded is what came of it: fields wrote, receipt, answers.
type Forwarded struct {
	Wrote   bool // Receipt is of a write
	Receipt topology.Receipt
	Answers [][]byte // in the client's protocol, one a command
}

// Encode returns the answer's bytes.
func (m *Forwarded) Encode() []byte {
	w := begin(3)
	w.Bool(m.Wrote)
	w.Bin(EncodeReceipt(m.Receipt))
	w.Array(len(m.Answers))
	for _, a := range m.Answers {
		w.Bin(a)
	}
	return w.Bytes()
}

// DecodeForwarded reads an answer. Its slices alias b.
func DecodeForwarded(b []byte) (Forwarded, error) {
	r, err := open(b, 3)
	if err != nil {
		return Forwarded{}, err
	}
	m := Forwarded{Wrote: r.Bool()}
	receipt := r.Bin()
	for n := r.ArrayMax(ForwardCommandsMax); n > 0 && r.Err() == nil; n-- {
		m.Answers = append(m.Answers, r.Bin())
	}
	if err := done(&r); err != nil {
		return Forwarded{}, err
	}
	m.Receipt, err = DecodeReceipt(receipt)
	return m, err
}
