//go:build linux

package nemesis

import (
	"hash/fnv"
	"strings"

	source "github.com/triad-kv/triad/internal/sim/load"
)

// paddingMax is the length of the longest padding: enough that a few writes a
// second fill segments, and that who was away for seconds needs a snapshot.
const paddingMax = 16 << 10

// padded is a value as it is written: the values of registers are long, so that
// logs grow. How long, and what stands there, follows from the value itself.
func padded(key, value string) string {
	if !strings.HasPrefix(key, source.Registers) {
		return value
	}
	h := fnv.New64a()
	h.Write([]byte(value))
	sum := h.Sum64()
	letter := string(rune('a' + sum%26))
	return value + " " + strings.Repeat(letter, int(sum>>8%paddingMax))
}

// unpadded is the value of which that was made; false if it is not whole.
func unpadded(key, text string) (string, bool) {
	value, _, _ := strings.Cut(text, " ")
	return value, padded(key, value) == text
}
