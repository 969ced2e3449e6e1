package transport

import (
	"bytes"
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// The preamble, sent by both sides, the dialler first:
//
//	0        4       5     6   8
//	+--------+-------+-----+---+
//	| magic  |version|flags| 0 |
//	+--------+-------+-----+---+
//
//	magic    89 'T' 'R' 'D': no text, and no TLS record, begins so
//	version  1: how the hello is framed, not which protocol is spoken
//	flags    none yet; the first is kept for "TLS follows"
//
// A frame of kindHello or kindRefuse follows, of at most helloBytesMax.
//
// A hello is a msgpack array of ten or more, of which a reader steps over those
// it does not know and takes those that are missing for 0:
//
//	0  protocol min  uint
//	1  protocol max  uint
//	2  cluster name  str
//	3  cluster id    bin, 16 bytes, or none while it is not known
//	4  node          str; may be empty for a client
//	5  life          uint, of the data directory; 0 for a client
//	6  instance      uint, random, of the process
//	7  role          uint, topology.PeerRole: exactly one
//	8  class         uint: 1 control, 2 stream
//	9  protocol      str, of a stream; else empty
//	10 features      uint, of bits: what this side reads; left out if it is 0
//
// A refusal is a msgpack array of two or more:
//
//	0  code  uint
//	1  text  str
const (
	preambleBytes   = 8
	preambleVersion = 1
	helloFields     = 10 // that every hello has
	refusalFields   = 2
	nameBytesMax    = 255 // cluster name, method, protocol: each
	textBytesMax    = 512 // text of a refusal
)

// The protocols this version speaks.
const (
	ProtocolMin = 1
	ProtocolMax = 1
)

var preamble = [preambleBytes]byte{0x89, 'T', 'R', 'D', preambleVersion}

const magicBytes = 4

// Features. What a bit that is not known promises is not made use of.
const featureS2 = 1 << 0 // messages of a stream may be compressed

// class is what a connection is for.
type class uint8

const (
	classControl class = 1 + iota
	classStream
)

type hello struct {
	min, max uint64
	name     string
	cluster  [16]byte
	known    bool // cluster is
	node     topology.NodeID
	life     uint64
	instance uint64
	role     topology.PeerRole
	class    class
	protocol string
	features uint64
}

// append appends the preamble and the frame of h to dst.
func (h *hello) append(dst []byte) []byte {
	dst = append(dst, preamble[:]...)
	at := len(dst)
	w := pack.NewWriter(appendFrame(dst))
	if h.features == 0 {
		w.Array(helloFields)
	} else {
		w.Array(helloFields + 1)
	}
	w.Uint(h.min)
	w.Uint(h.max)
	w.Str(h.name)
	if h.known {
		w.Bin(h.cluster[:])
	} else {
		w.Bin(nil)
	}
	w.Str(string(h.node))
	w.Uint(h.life)
	w.Uint(h.instance)
	w.Uint(uint64(h.role))
	w.Uint(uint64(h.class))
	w.Str(h.protocol)
	if h.features != 0 {
		w.Uint(h.features)
	}
	dst = w.Bytes()
	seal(dst[at:], kindHello)
	return dst
}

// readHello reads the payload of a hello. A range of protocols that this
// version does not speak is no fault of the form, and is left to the caller:
// what follows the range may then be anything.
func readHello(b []byte) (hello, error) {
	r := pack.NewReader(b)
	n := r.Array()
	if n < helloFields {
		r.Fail(fmt.Sprintf("hello of %d fields, %d expected", n, helloFields))
	}
	h := hello{min: r.Uint(), max: r.Uint()}
	if r.Err() == nil && (h.min > h.max || h.min == 0) {
		r.Fail("a range of protocols that holds none")
	}
	if r.Err() == nil && (h.min > ProtocolMax || h.max < ProtocolMin) {
		return h, nil
	}
	h.name = r.StrMax(nameBytesMax)
	if id := r.BinMax(len(h.cluster)); len(id) != 0 {
		h.known = copy(h.cluster[:], id) == len(h.cluster) && h.cluster != [16]byte{}
		if !h.known {
			r.Fail("a cluster id is not of 16 bytes, or of zeros")
		}
	}
	h.node = topology.NodeID(r.StrMax(nameBytesMax))
	h.life = r.Uint()
	h.instance = r.Uint()
	h.role = topology.PeerRole(r.UintMax(255))
	h.class = class(r.UintMax(255))
	h.protocol = r.StrMax(nameBytesMax)
	if n > helloFields {
		h.features = r.Uint()
		n--
	}
	for ; n > helloFields && r.Err() == nil; n-- {
		r.Skip()
	}
	if why := h.malformed(); r.Err() == nil && why != "" {
		r.Fail(why)
	}
	if err := r.Done(); err != nil {
		return hello{}, faultf(FaultHello, "a hello that cannot be read: %v", err)
	}
	return h, nil
}

// malformed says what cannot be right in a hello, whoever it is from.
func (h *hello) malformed() string {
	node := h.role == topology.PeerNode
	switch {
	case !node && h.role != topology.PeerClient:
		return fmt.Sprintf("role %d is none", h.role)
	case node && !h.node.Valid(), !node && h.node != "" && !h.node.Valid():
		return fmt.Sprintf("%.80q is no node id", h.node)
	case node && h.life == 0, !node && h.life != 0:
		return "a node without a life, or a client with one"
	case h.class != classControl && h.class != classStream:
		return fmt.Sprintf("class %d is none", h.class)
	case (h.class == classStream) != (h.protocol != ""):
		return "a stream without a protocol, or a protocol without a stream"
	}
	return ""
}

// append appends the preamble and the frame of a refusal to dst.
func (e *Refusal) append(dst []byte) []byte {
	dst = append(dst, preamble[:]...)
	at := len(dst)
	dst = e.appendBody(appendFrame(dst))
	seal(dst[at:], kindRefuse)
	return dst
}

func (e *Refusal) appendBody(dst []byte) []byte {
	w := pack.NewWriter(dst)
	w.Array(refusalFields)
	w.Uint(uint64(e.Code))
	w.Str(bounded(e.Text, textBytesMax))
	return w.Bytes()
}

// readRefusal reads the payload of a refusal; the error is a *Refusal unless
// the payload cannot be read.
func readRefusal(b []byte) error {
	r := pack.NewReader(b)
	n := r.Array()
	if n < refusalFields {
		r.Fail(fmt.Sprintf("refusal of %d fields, %d expected", n, refusalFields))
	}
	e := &Refusal{Code: RefusalCode(r.UintMax(255)), Text: r.StrMax(textBytesMax), ByPeer: true}
	for ; n > refusalFields && r.Err() == nil; n-- {
		r.Skip()
	}
	if err := r.Done(); err != nil {
		return faultf(FaultHello, "a refusal that cannot be read: %v", err)
	}
	return e
}

// foreign says what begins with b, which is not, and will not be, the preamble.
func foreign(b []byte) error {
	texts := []string{"GET ", "PUT ", "POST", "HEAD", "DELE", "OPTI", "PATC", "TRAC", "CONN", "PRI "}
	for _, t := range texts {
		if bytes.HasPrefix(b, []byte(t)) {
			return faultf(FaultHTTP, "HTTP on the peers port")
		}
	}
	switch {
	case len(b) >= 2 && b[0] == 0x16 && b[1] == 0x03:
		return faultf(FaultTLS, "TLS on a peers port that is not set up for it: give this node certificates, or the other side none")
	case b[0] == '*', b[0] == '$', bytes.HasPrefix(b, []byte("PING")), bytes.HasPrefix(b, []byte("INFO")):
		return faultf(FaultRESP, "RESP on the peers port")
	case !bytes.HasPrefix(b, preamble[:min(len(b), magicBytes)]):
		return faultf(FaultMagic, "not a Triad peer: it began with %q", b)
	}
	return faultf(FaultPreamble, "a preamble of version %d with flags %x, this version knows %d and 000000", b[4], b[5:], preambleVersion)
}
