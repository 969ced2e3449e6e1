package server

// glob reports whether name matches a pattern as KEYS and SCAN have them: * any
// bytes, ? one byte, […] one of a class with ranges and ^, \ the next byte as it
// is. It looks at each byte of the pattern a bounded number of times for each of
// the name: what a * took is extended, never tried anew for an earlier *.
func glob(pattern, name []byte) bool {
	p, n := 0, 0
	star, mark := -1, 0 // the last * and what it has taken
	for n < len(name) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, n
				p++
				continue
			}
			if width, ok := globOne(pattern[p:], name[n]); ok {
				p, n = p+width, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globOne matches one byte with what the pattern begins with, and tells how long
// that is.
func globOne(pattern []byte, c byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		return globClass(pattern, c)
	}
	return 1, pattern[0] == c
}

// globClass matches a class; one that is not closed ends with the pattern.
func globClass(pattern []byte, c byte) (width int, ok bool) {
	i, not := 1, false
	if i < len(pattern) && pattern[i] == '^' {
		i, not = i+1, true
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == c
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			ok = ok || low <= c && c <= high
			i += 2
		default:
			ok = ok || pattern[i] == c
		}
	}
	return min(i+1, len(pattern)), ok != not
}
