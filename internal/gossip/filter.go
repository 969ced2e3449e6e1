package gossip

import (
	"errors"

	"github.com/hashicorp/memberlist"
)

// Without a key anybody may speak to memberlist, which inflates what is
// compressed without a bound, and takes the first byte of what is empty then. So
// nobody here compresses, and what is compressed is dropped before memberlist
// sees it. What is encrypted comes from who has the key, and is not looked at.

// The types of memberlist's messages that are looked for: their first byte.
const (
	typeCompound   = 7
	typeUser       = 8 // over a connection nobody sends it, and memberlist believes its length
	typeCompressed = 9
	typeSummed     = 12 // four bytes of a sum, and a message
)

const summedBytes = 5 // of such a message's head

var errUnwelcome = errors.New("gossip: a message of a kind that nobody here sends")

// unwelcome reports whether nobody here sends a message of that type over a
// connection.
func unwelcome(kind byte) bool { return kind == typeCompressed || kind == typeUser }

// isCompressed reports whether a packet holds a compressed message, or a group of
// messages within one, which nobody sends.
func isCompressed(packet []byte) bool {
	b, _, err := memberlist.RemoveLabelHeaderFromPacket(packet)
	if err != nil {
		return false
	}
	if len(b) >= summedBytes && b[0] == typeSummed {
		b = b[summedBytes:]
	}
	if len(b) < 2 || b[0] != typeCompound {
		return len(b) > 0 && b[0] == typeCompressed
	}
	lengths := b[2:]
	n := int(b[1])
	if len(lengths) < 2*n {
		return false
	}
	parts := lengths[2*n:]
	for i := range n {
		size := int(lengths[2*i])<<8 | int(lengths[2*i+1])
		if size > len(parts) {
			return false
		}
		if size > 0 && (parts[0] == typeCompressed || parts[0] == typeCompound) {
			return true
		}
		parts = parts[size:]
	}
	return false
}
