//go:build linux

package nemesis

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// toolWait bounds one command of the operating system.
const toolWait = 30 * time.Second

// tool runs a command of the operating system and returns what it printed. An
// error holds what it complained of.
func tool(ctx context.Context, input, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, toolWait)
	defer cancel()
	var out, complaint bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &complaint
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.String(), nil
}

// tools runs command lines without blanks in their words, until one fails.
func tools(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if _, err := tool(ctx, "", words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// missing returns those commands that are not installed.
func missing(names ...string) (not []string) {
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			not = append(not, name)
		}
	}
	return not
}
