package transport

import (
	"github.com/triad-kv/triad/record/pack"
)

// What control connections carry, as msgpack arrays:
//
//	kindCall     4: id uint, method str, wait uint (milliseconds the caller waits; 0: no limit), body bin
//	kindCancel   1: id uint
//	kindReply    2: id uint, body bin
//	kindFailure  2: id uint, error bin (topology.AppendError)
//
// Ids grow with every call of a connection: one that does not is refused and
// ends the connection, so a request is never answered twice.
type letter struct {
	kind   kind
	id     uint64
	method string
	wait   uint64
	body   []byte
}

// letterRoom is what a letter may take besides its method and body.
const letterRoom = headerBytes + 32

func (l *letter) size() int { return letterRoom + len(l.method) + len(l.body) }

// append appends the frame of l to dst, with w.
func (l *letter) append(dst []byte, w *pack.Writer) []byte {
	at := len(dst)
	w.Reset(appendFrame(dst))
	switch l.kind {
	case kindCall:
		w.Array(4)
		w.Uint(l.id)
		w.Str(l.method)
		w.Uint(l.wait)
		w.Bin(l.body)
	case kindCancel:
		w.Array(1)
		w.Uint(l.id)
	case kindReply, kindFailure:
		w.Array(2)
		w.Uint(l.id)
		w.Bin(l.body)
	case kindIgnored:
		w.Raw(l.body)
	}
	dst = w.Bytes()
	seal(dst[at:], l.kind)
	return dst
}

// readLetter reads the payload of a frame of kind k. The body aliases it.
func readLetter(k kind, payload []byte) (letter, error) {
	r := pack.NewReader(payload)
	l := letter{kind: k}
	switch k {
	case kindCall:
		r.ArrayOf(4)
		l.id = r.Uint()
		l.method = r.StrMax(nameBytesMax)
		l.wait = r.UintMax(waitMax)
		l.body = r.Bin()
	case kindCancel:
		r.ArrayOf(1)
		l.id = r.Uint()
	default:
		r.ArrayOf(2)
		l.id = r.Uint()
		l.body = r.Bin()
	}
	if err := r.Done(); err != nil {
		return letter{}, faultf(FaultPayload, "a frame of kind %d that cannot be read: %v", k, err)
	}
	return l, nil
}

// waitMax is the longest wait a call may state, in milliseconds: a year.
const waitMax = 365 * 24 * 3600 * 1000
