package server

import "bytes"

// slotsAll is how many slots Redis Cluster has. Here one node leads all of them.
const slotsAll = 1 << 14

// slotOf is the slot of a key, as Redis Cluster computes it: of what stands
// between the first brace and the next closing one, if there is something; else
// of the whole key.
func slotOf(key []byte) int {
	if from := bytes.IndexByte(key, '{'); from >= 0 {
		if n := bytes.IndexByte(key[from+1:], '}'); n > 0 {
			key = key[from+1 : from+1+n]
		}
	}
	return int(crc16(key)) % slotsAll
}

// crc16 is the sum of XMODEM: polynomial 0x1021, begun with 0.
func crc16(b []byte) uint16 {
	var sum uint16
	for _, c := range b {
		sum ^= uint16(c) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// slot is that of a request's first key, 0 where it has none.
func (r *request) slot() int {
	if r.tx != nil {
		for _, q := range r.tx.queued {
			if q.cmd.keys.step != 0 {
				return q.slot()
			}
		}
		return 0
	}
	if first, last, _ := r.cmd.keys.indexes(len(r.args)); first <= last {
		return slotOf(r.args[first])
	}
	return 0
}
