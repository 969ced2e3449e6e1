package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/triad-kv/triad/internal/config/strict"
)

const secretBytesMax = 4 << 10 // of a file that holds one

// Secrets are what a node knows and nobody else should. They are never printed.
type Secrets struct {
	RESPPassword string
	GossipKeys   []string // the first for what is sent, all for what comes
	AdminToken   string
}

// Secrets reads the files that hold secrets, and takes the others from where they
// were given. The error is a [*strict.Refused].
func (n *Node) Secrets() (Secrets, error) {
	var s Secrets
	var refused strict.Refused
	for _, w := range []struct {
		path, value, file string
		most              int
		into              func([]string)
	}{
		{"resp.password_file", n.RESP.Password, n.RESP.PasswordFile, 1, func(l []string) { s.RESPPassword = l[0] }},
		{"gossip.key_file", n.Gossip.Key, n.Gossip.KeyFile, gossipKeysMax, func(l []string) { s.GossipKeys = l }},
		{"admin.token_file", n.Admin.Token, n.Admin.TokenFile, 1, func(l []string) { s.AdminToken = l[0] }},
	} {
		switch lines, err := secretsIn(w.file, w.most); {
		case w.value != "":
			w.into([]string{w.value})
		case w.file == "":
		case err != nil:
			refused.Findings = append(refused.Findings, n.values.Finding(w.path, "%v", err))
		default:
			w.into(lines)
		}
	}
	if len(refused.Findings) > 0 {
		return Secrets{}, &refused
	}
	return s, nil
}

const gossipKeysMax = 8 // while a key is changed there are two

// secretsIn reads a file of secrets, one a line. No name is no file.
func secretsIn(name string, most int) (lines []string, err error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	i, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case i.IsDir():
		return nil, fmt.Errorf("%s is a directory", name)
	case i.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows": // which has no such bits
		return nil, fmt.Errorf("%s can be read by everybody on this machine; chmod 600 it", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
	lines = strings.Split(strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n"), "\n")
	switch {
	case err != nil:
		return nil, err
	case len(b) > secretBytesMax:
		return nil, fmt.Errorf("%s is longer than %v, which no secret is", name, Size(secretBytesMax))
	case len(lines) > most:
		return nil, fmt.Errorf("%s holds %d lines; at most %d", name, len(lines), most)
	case slices.Contains(lines, ""):
		return nil, fmt.Errorf("%s is empty, or has an empty line", name)
	case strings.ContainsFunc(string(b), func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' }):
		return nil, fmt.Errorf("%s holds what is no text", name)
	}
	return lines, nil
}
