package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/triad-kv/triad/internal/config/strict"
)

const secretBytesMax = 4 << 10 // of a file that holds one

// Secrets are what a node knows and nobody else should. They are never printed.
type Secrets struct {
	RESPPassword string
	GossipKey    string
	AdminToken   string
}

// Secrets reads the files that hold secrets, and takes the others from where they
// were given. The error is a [*strict.Refused].
func (n *Node) Secrets() (Secrets, error) {
	var s Secrets
	var refused strict.Refused
	for _, w := range []struct {
		path, value, file string
		into              *string
	}{
		{"resp.password_file", n.RESP.Password, n.RESP.PasswordFile, &s.RESPPassword},
		{"gossip.key_file", n.Gossip.Key, n.Gossip.KeyFile, &s.GossipKey},
		{"admin.token_file", n.Admin.Token, n.Admin.TokenFile, &s.AdminToken},
	} {
		*w.into = w.value
		if w.file == "" {
			continue
		}
		var err error
		if *w.into, err = secretIn(w.file); err != nil {
			refused.Findings = append(refused.Findings, n.values.Finding(w.path, "%v", err))
		}
	}
	if len(refused.Findings) > 0 {
		return Secrets{}, &refused
	}
	return s, nil
}

// secretIn reads a secret from a file: its first line, and there may be no other.
func secretIn(name string) (secret string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	i, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case i.Mode().Perm()&0o007 != 0:
		return "", fmt.Errorf("%s can be read by everybody on this machine; chmod 600 it", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
	secret = strings.TrimRight(string(b), "\r\n")
	switch {
	case err != nil:
		return "", err
	case len(b) > secretBytesMax:
		return "", fmt.Errorf("%s is longer than %v, which no secret is", name, Size(secretBytesMax))
	case secret == "":
		return "", fmt.Errorf("%s is empty", name)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s holds more than a line", name)
	}
	return secret, nil
}
