package gossip

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// journal turns the lines that serf and memberlist log into records of a
// slog.Logger: level and part are read from the line, what does not print is
// escaped, and what exceeds the limits is cut or counted. It is safe for
// concurrent use; the lock is a leaf.
type journal struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	ended   bool
	second  time.Time // since when lines are counted
	lines   int
	dropped int
}

// logger returns a logger of the standard library that writes here.
func (j *journal) logger() *log.Logger { return log.New(j, "", 0) }

// Write implements io.Writer: one line.
func (j *journal) Write(b []byte) (int, error) {
	level, part, text := parseLine(b)
	if !j.log.Enabled(context.Background(), level) {
		return len(b), nil
	}
	dropped, ok := j.admit()
	if !ok {
		return len(b), nil
	}
	if dropped > 0 {
		j.log.Warn("gossip: lines were dropped, more than may be written in a second", "lines", dropped, "most", linesPerSecondMax)
	}
	j.log.Log(context.Background(), level, text, "part", part)
	return len(b), nil
}

// admit reports whether one more line may be written now, and how many were not
// before it.
func (j *journal) admit() (dropped int, ok bool) {
	now := j.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	if now.Sub(j.second) >= time.Second {
		j.second, j.lines = now, 0
		dropped, j.dropped = j.dropped, 0
	}
	if j.ended {
		return 0, false
	}
	if j.lines >= linesPerSecondMax {
		j.dropped++
		return 0, false
	}
	j.lines++
	return dropped, true
}

// end makes the journal deaf: the libraries have goroutines nobody can wait for.
func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
}

// The levels of the libraries. A line without one is a warning: it was written
// where nobody thought of levels.
var levels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug, "TRACE": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "ERR": slog.LevelError, "ERROR": slog.LevelError,
}

// parseLine reads "[LEVEL] part: text".
func parseLine(b []byte) (level slog.Level, part, text string) {
	level, part = slog.LevelWarn, "gossip"
	text = strings.TrimRight(string(b[:min(len(b), lineBytesMax)]), "\r\n")
	if len(b) > lineBytesMax {
		text += "…"
	}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if name, after, ok := strings.Cut(rest, "]"); ok {
			if l, known := levels[name]; known {
				level, text = l, strings.TrimLeft(after, " ")
			}
		}
	}
	for _, p := range []string{"serf", "memberlist"} {
		if after, ok := strings.CutPrefix(text, p+": "); ok {
			part, text = p, after
		}
	}
	return level, part, escape(text)
}

// escape replaces what does not print: others choose part of these lines.
func escape(s string) string {
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case clean(r):
			b.WriteRune(r)
		case r == utf8.RuneError || r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
