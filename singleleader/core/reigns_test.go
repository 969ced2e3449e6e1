package core

import "testing"

func FuzzDecodeReign(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte{0x91, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeReign(b)
		if err == nil && (len(r.Cause) > causeBytesMax || len(r.Leader) > nameBytesMax) {
			t.Fatal(r)
		}
	})
}
