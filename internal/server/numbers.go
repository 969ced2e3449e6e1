package server

import "strconv"

// parseInt reads an integer as strictly as Redis does: no sign but a minus, no
// zero that leads.
func parseInt(b []byte) (int64, bool) {
	const digitsMax = 20
	if len(b) == 0 || len(b) > digitsMax || b[0] == '+' {
		return 0, false
	}
	digits := b
	if b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) > 0 && digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
