package resp

import "bytes"

// split finds the arguments of a line, undoing quotes and escapes in place, as
// redis-cli and its server do: "…" knows \n \r \t \b \a \xHH and \c for c, '…'
// knows \' alone; a quote may begin within a word and ends it. ok is false where
// a quote is not closed, or is followed by something.
func split(line []byte, dst []span) (_ []span, ok bool) {
	for i := 0; ; {
		for i < len(line) && space(line[i]) {
			i++
		}
		if i == len(line) {
			return dst, true
		}
		from, to := i, i
		for i < len(line) && !space(line[i]) {
			c := line[i]
			if c != '"' && c != '\'' {
				line[to] = c
				i, to = i+1, to+1
				continue
			}
			if i, to, ok = unquote(line, i, to); !ok || i < len(line) && !space(line[i]) {
				return dst, false
			}
		}
		dst = append(dst, span{from, to})
	}
}

// unquote undoes the quote that begins at i and writes what it holds at to. It
// returns the places behind both.
func unquote(line []byte, i, to int) (_, _ int, ok bool) {
	quote := line[i]
	for i++; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return i + 1, to, true
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && hex(line[i+2]) < 16 && hex(line[i+3]) < 16:
			c = hex(line[i+2])<<4 | hex(line[i+3])
			i += 3
		case c == '\\' && i+1 < len(line) && (quote == '"' || line[i+1] == '\''):
			i++
			if c = line[i]; quote == '"' {
				c = escaped(c)
			}
		}
		line[to] = c
		to++
	}
	return i, to, false
}

func escaped(c byte) byte {
	if i := bytes.IndexByte([]byte("nrtba"), c); i >= 0 {
		return "\n\r\t\b\a"[i]
	}
	return c
}

func hex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
