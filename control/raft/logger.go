package raft

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/triad-kv/triad/topology"
)

// errMute is why a leader whose disk hangs sends nothing.
var errMute = fail("append", topology.NotApplied, errors.New("this voter's disk hangs"))

// logWriter takes what raft logs, a line at a time. What raft calls an error is one
// attempt among many, so it is no more than a note here.
type logWriter struct{ logger *slog.Logger }

// Write implements io.Writer.
func (w *logWriter) Write(p []byte) (int, error) {
	line := strings.TrimSpace(string(p))
	_, text, found := strings.Cut(line, "] ")
	if !found {
		text = line
	}
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "raft:"))
	switch {
	case strings.Contains(line, "[ERROR]"), strings.Contains(line, "[WARN]"):
		w.logger.Info("control: raft: " + text)
	default:
		w.logger.Debug("control: raft: " + text)
	}
	return len(p), nil
}
