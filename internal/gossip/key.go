package gossip

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// keyBytes is the length of a key: AES-256.
const keyBytes = 32

// Key encrypts gossip. It never prints itself.
type Key [keyBytes]byte

// ParseKey reads a key: 32 bytes in base64, as `openssl rand -base64 32` prints
// them. No part of it is in the error.
func ParseKey(s string) (Key, error) {
	var k Key
	b, err := base64.StdEncoding.DecodeString(s)
	switch {
	case err != nil:
		return k, errors.New("a gossip key is 32 bytes in base64, and this is not base64; `openssl rand -base64 32` makes one")
	case len(b) != keyBytes:
		return k, fmt.Errorf("a gossip key is %d bytes in base64, and this is %d; `openssl rand -base64 32` makes one", keyBytes, len(b))
	case *(*Key)(b) == Key{}:
		return k, errors.New("a gossip key of zeros only is none; `openssl rand -base64 32` makes one")
	}
	return *(*Key)(b), nil
}

const keyShown = "[a gossip key]"

// Format implements fmt.Formatter: every verb prints the same.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, keyShown) }

// LogValue implements slog.LogValuer.
func (Key) LogValue() slog.Value { return slog.StringValue(keyShown) }

// MarshalText implements encoding.TextMarshaler, for encoders.
func (Key) MarshalText() ([]byte, error) { return []byte(keyShown), nil }
