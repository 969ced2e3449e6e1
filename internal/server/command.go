package server

import (
	"context"
	"slices"
	"strings"
)

// command is one row of the table of commands. It is answered in one of two ways.
//
// What works on keys has plan and show: plan judges the arguments and makes of
// them a decision of package kind, which says what it reads; once it is made, show
// writes its answer. Where it is made, in a group, in a transaction or over a plain
// read, neither knows. Everything else has answer, which runs on the connection's
// goroutine.
type command struct {
	name  string // lower case; "client|id" is a subcommand
	arity int    // arguments with the name: exactly, or if negative at least −arity
	flags flag
	keys  keySpec
	group string
	about string // in one line

	plan   func(*request) error
	show   func(*request)
	answer func(context.Context, *conn, *request) error
}

// keySpec says which arguments are keys: as in Redis, first, last (negative
// counts from the end) and step; zero for none.
type keySpec struct{ first, last, step int }

var (
	oneKey   = keySpec{1, 1, 1}
	allKeys  = keySpec{1, -1, 1}
	keyPairs = keySpec{1, -1, 2}
)

type flag uint16

const (
	writes   flag = 1 << iota // changes keys
	reads                     // reads keys and changes nothing
	stranger                  // may come before AUTH
	alone                     // not between MULTI and EXEC
	direct                    // acts on MULTI itself: is never queued
	cuts                      // what stands before it in the pipeline is done first
	family                    // has subcommands, and does nothing without one
	whole                     // may read all fields of a key
	fast                      // for COMMAND: constant or logarithmic
	admin                     // for COMMAND
	blocking                  // for COMMAND: may wait
)

// flagNames are those that COMMAND shows.
var flagNames = []struct {
	flag flag
	name string
}{{writes, "write"}, {reads, "readonly"}, {admin, "admin"}, {alone, "noscript"}, {stranger, "no_auth"}, {fast, "fast"}, {blocking, "blocking"}}

// tableOfCommands returns all commands by name.
func tableOfCommands() map[string]*command {
	all := slices.Concat(connectionCommands, stringCommands, counterCommands, hashCommands, setCommands, sketchCommands, keyCommands, expiryCommands,
		scanCommands, transactionCommands, adminCommands, clusterCommands, replicationCommands, sessionCommands, siblingCommands)
	byName := make(map[string]*command, len(all))
	for i := range all {
		byName[all[i].name] = &all[i]
	}
	return byName
}

// nameBytesMax is the length no command's name exceeds, its subcommand included.
const nameBytesMax = 32

// find returns the command that args call, or the error that Redis answers.
func (s *Server) find(args [][]byte) (*command, error) {
	var name [nameBytesMax]byte
	n := lower(name[:], args[0])
	c := s.commands[string(name[:n])]
	if n == 0 || c == nil {
		return nil, unknownCommand(args)
	}
	if c.flags&family != 0 && len(args) > 1 {
		name[n] = '|'
		m := lower(name[n+1:], args[1])
		sub := s.commands[string(name[:n+1+m])]
		if m == 0 || sub == nil {
			return nil, replyErrorf("ERR unknown subcommand '%s'. Try %s HELP.", cut(args[1], 128), strings.ToUpper(c.name))
		}
		c = sub
	}
	if len(args) != c.arity && (c.arity > 0 || len(args) < -c.arity) {
		return nil, replyErrorf("ERR wrong number of arguments for '%s' command", c.name)
	}
	return c, nil
}

// lower copies b in lower case, 0 bytes of it if there is no room.
func lower(dst, b []byte) int {
	if len(b) > len(dst)-1 {
		return 0
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst[i] = c
	}
	return len(b)
}

// equalFold reports whether an argument is a word, which is in upper case.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func cut(b []byte, n int) []byte { return b[:min(n, len(b))] }

func unknownCommand(args [][]byte) error {
	var b strings.Builder
	for _, a := range args[1:] {
		if b.Len() >= 128 {
			break
		}
		b.WriteString("'" + string(cut(a, 128-b.Len())) + "' ")
	}
	return replyErrorf("ERR unknown command '%s', with args beginning with: %s", cut(args[0], 128), b.String())
}

// indexes yields the places of the keys among n arguments.
func (k keySpec) indexes(n int) (first, last, step int) {
	if k.step == 0 {
		return 0, -1, 1
	}
	last = k.last
	if last < 0 {
		last += n
	}
	return k.first, min(last, n-1), k.step
}
