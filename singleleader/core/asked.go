package core

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/triad-kv/triad/record"
)

// Asked is the named requests that stand in a leader's log behind what its store
// shows, so that a retry whose first is still on its way joins it (S17). It is
// rebuilt from the log, what is not committed included: that may be committed
// yet. It belongs to the turn, and is pure.
type Asked struct {
	answers map[record.RequestID]Answer
	trail   []record.RequestID // in the order of the log
	head    int
}

// NewAsked returns an empty one.
func NewAsked() *Asked { return &Asked{answers: map[record.RequestID]Answer{}} }

// Add takes in the request id, accepted with answer a behind all others.
func (k *Asked) Add(id record.RequestID, a Answer) {
	if id.IsZero() {
		return
	}
	k.answers[id] = a
	k.trail = append(k.trail, id)
}

// AnswerOf is what a named record is answered with.
func AnswerOf(r *record.Record) Answer {
	a := Answer{Seq: r.Request.Seq, LSN: record.LSN(r.Dot.Seq), Term: r.Term, Time: r.Time, Sum: SumOf(r.Mutations)}
	if n := len(r.Mutations); n > 0 && isResult(&r.Mutations[n-1]) {
		a.Result = append(a.Result, r.Mutations[n-1].Value...)
	}
	return a
}

// Result returns the mutation that keeps what a named update has told its caller.
// It is the last of its record.
func Result(b []byte) record.Mutation {
	return record.Mutation{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkResult), Value: b}
}

func isResult(m *record.Mutation) bool {
	return m.Op == record.OpMark && m.Table == record.TableSystem && string(m.Key) == record.MarkResult
}

// Find returns the answer to a request, if it is here.
func (k *Asked) Find(id record.RequestID) (Answer, bool) {
	a, ok := k.answers[id]
	return a, ok
}

// Len returns how many there are.
func (k *Asked) Len() int { return len(k.trail) - k.head }

// Forget drops what is applied: [Requests] knows it by then.
func (k *Asked) Forget(applied record.LSN) {
	for ; k.head < len(k.trail); k.head++ {
		id := k.trail[k.head]
		if k.answers[id].LSN > applied {
			break
		}
		delete(k.answers, id)
	}
	if k.head == len(k.trail) {
		k.trail, k.head = k.trail[:0], 0
	} else if k.head > 1024 && k.head > len(k.trail)/2 {
		k.trail, k.head = append(k.trail[:0], k.trail[k.head:]...), 0
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SumOf tells mutations from others, so that two requests under one name do not
// pass for one. When a key expires is left out: a retry counts its time to live
// from later on; and so are marks.
func SumOf(ms []record.Mutation) uint32 {
	var sum uint32
	var head [18]byte
	for i := range ms {
		m := &ms[i]
		if m.Op == record.OpMark {
			continue
		}
		binary.LittleEndian.PutUint32(head[0:], uint32(m.Table))
		head[4], head[5] = byte(m.Op), byte(m.Kind)
		binary.LittleEndian.PutUint32(head[6:], uint32(len(m.Key)))
		binary.LittleEndian.PutUint32(head[10:], uint32(len(m.Field)))
		binary.LittleEndian.PutUint32(head[14:], uint32(len(m.Value)))
		for _, b := range [...][]byte{head[:], m.Key, m.Field, m.Value} {
			sum = crc32.Update(sum, castagnoli, b)
		}
	}
	return sum
}
