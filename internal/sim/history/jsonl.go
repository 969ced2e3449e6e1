package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// LineBytesMax is the longest line that [Read] takes: a scan of some 100,000 rows.
const LineBytesMax = 16 << 20

// Write writes ops as JSON, a line each.
func Write(w io.Writer, ops []Op) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	for i := range ops {
		if err := enc.Encode(&ops[i]); err != nil {
			return fmt.Errorf("write operation %d of a history: %w", ops[i].ID, err)
		}
	}
	return b.Flush()
}

// Read reads what [Write] wrote, and validates it: a field that is not known, a
// line that is cut off, or a history that breaks its own rules is an error that
// names the line or the operation.
func Read(r io.Reader) ([]Op, error) {
	var ops []Op
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, LineBytesMax)
	for n := 1; lines.Scan(); n++ {
		var op Op
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&op); err != nil {
			return nil, fmt.Errorf("history, line %d: %w: %w", n, errMalformed, err)
		}
		if dec.More() {
			return nil, fmt.Errorf("history, line %d: %w: more than one operation", n, errMalformed)
		}
		ops = append(ops, op)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("history, after line %d: %w", len(ops), err)
	}
	return ops, Validate(ops)
}

// Save writes ops to a new file, for a failure that somebody will look at.
func Save(path string, ops []Op) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("save a history: %w", err)
	}
	return errors.Join(Write(f, ops), f.Close())
}
